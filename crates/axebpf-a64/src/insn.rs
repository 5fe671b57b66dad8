//! The instructions that can be simulated, taken apart.

use crate::operand::{
    AddSub, BranchIf, Comparand, Comparison, LandingPad, Literal, MoveWide, Size, StateField, Width,
};
use crate::{Cond, Reg, RegSp};

/// An instruction that can be simulated. Offsets are in bytes, from the instruction's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insn {
    /// A hint that changes nothing: `NOP`, `YIELD`, `DGH`; a literal prefetch.
    Nop,
    /// `BTI`.
    Bti(LandingPad),
    /// `B`.
    Branch {
        /// How far.
        offset: i64,
    },
    /// `BL`.
    BranchLink {
        /// How far.
        offset: i64,
    },
    /// `B.cond` and `BC.cond`.
    BranchCond {
        /// When.
        cond: Cond,
        /// How far.
        offset: i64,
    },
    /// `CBZ` and `CBNZ`.
    CompareBranch {
        /// Which register.
        reg: Reg,
        /// How much of it.
        width: Width,
        /// When.
        when: BranchIf,
        /// How far.
        offset: i64,
    },
    /// `CB<cc>`, `CBB<cc>` and `CBH<cc>`.
    CompareTwo {
        /// When.
        test: Comparison,
        /// The first operand.
        left: Reg,
        /// The second operand.
        right: Comparand,
        /// How much of them.
        size: Size,
        /// How far.
        offset: i64,
    },
    /// `TBZ` and `TBNZ`.
    TestBranch {
        /// Which register.
        reg: Reg,
        /// Which bit of it.
        bit: u8,
        /// When.
        when: BranchIf,
        /// How far.
        offset: i64,
    },
    /// `BR`.
    BranchReg {
        /// Where to.
        target: Reg,
    },
    /// `BLR`.
    BranchLinkReg {
        /// Where to.
        target: Reg,
    },
    /// `RET`.
    Ret {
        /// Where to.
        target: Reg,
    },
    /// `ADR`.
    Adr {
        /// What is written.
        dest: Reg,
        /// How far.
        offset: i64,
    },
    /// `ADRP`.
    Adrp {
        /// What is written.
        dest: Reg,
        /// How far from the 4 KiB page of the instruction.
        offset: i64,
    },
    /// `LDR` and `LDRSW` of a literal.
    LoadLiteral {
        /// What is read.
        literal: Literal,
        /// What is written.
        dest: Reg,
        /// How far.
        offset: i64,
    },
    /// `MRS` of a part of the processor state.
    ReadState {
        /// What is written.
        dest: Reg,
        /// Which part.
        field: StateField,
    },
    /// `MSR NZCV`.
    WriteFlags {
        /// What has the flags, as bits 31 to 28.
        value: Reg,
    },
    /// `MOV` of a register: `ORR` of the zero register and one that is not shifted.
    Move {
        /// What is written.
        dest: Reg,
        /// What is read.
        source: Reg,
        /// How much of it.
        width: Width,
    },
    /// `MOVZ`, `MOVN` and `MOVK`.
    MoveWide {
        /// Which of them.
        op: MoveWide,
        /// What is written.
        dest: Reg,
        /// How much of it.
        width: Width,
        /// The bits.
        imm: u16,
        /// Where they go: 0, 16, 32 or 48.
        shift: u8,
    },
    /// `ADD` and `SUB` of an immediate.
    AddSub {
        /// Which of them.
        op: AddSub,
        /// What is written.
        dest: RegSp,
        /// The first operand.
        left: RegSp,
        /// How much of them.
        width: Width,
        /// The second operand.
        imm: u32,
    },
    /// `ADDS` and `SUBS` of an immediate, with `CMN` and `CMP`.
    AddSubFlags {
        /// Which of them.
        op: AddSub,
        /// What is written besides the flags.
        dest: Reg,
        /// The first operand.
        left: RegSp,
        /// How much of them.
        width: Width,
        /// The second operand.
        imm: u32,
    },
    /// `STR` with pre-indexing.
    StorePre {
        /// What is stored.
        value: Reg,
        /// How much of it.
        width: Width,
        /// The base, to which the offset is added before.
        base: RegSp,
        /// The offset in bytes.
        offset: i64,
    },
    /// `STP` with pre-indexing.
    StorePairPre {
        /// What is stored first.
        first: Reg,
        /// What is stored behind it.
        second: Reg,
        /// How much of each.
        width: Width,
        /// The base, to which the offset is added before.
        base: RegSp,
        /// The offset in bytes.
        offset: i64,
    },
}

impl Insn {
    /// Returns how far the instruction may branch, for direct branches and calls.
    #[must_use]
    pub const fn branch_offset(self) -> Option<i64> {
        match self {
            Self::Branch { offset }
            | Self::BranchLink { offset }
            | Self::BranchCond { offset, .. }
            | Self::CompareBranch { offset, .. }
            | Self::CompareTwo { offset, .. }
            | Self::TestBranch { offset, .. } => Some(offset),
            _ => None,
        }
    }

    /// Tells whether the instruction behind this one may be executed after it, for calls when they return.
    #[must_use]
    pub const fn falls_through(self) -> bool {
        !matches!(
            self,
            Self::Branch { .. } | Self::BranchReg { .. } | Self::Ret { .. }
        )
    }
}
