//! The instructions that can be simulated, taken apart.

use crate::{Cond, Reg, RegSp};

/// Whether an instruction works on 32 or 64 bits of its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits: the upper half of a result is zero.
    W,
    /// 64 bits.
    X,
}

/// What has to be so for a compare-and-branch or a test-and-branch to branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchIf {
    /// The register, or the bit, is zero.
    Zero,
    /// It is not.
    NonZero,
}

/// From which indirect branches a `BTI` takes over: those of its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandingPad {
    /// `BTI`: none.
    None,
    /// `BTI c`: calls.
    Call,
    /// `BTI j`: jumps.
    Jump,
    /// `BTI jc`: both.
    Both,
}

/// Which part of a register a move of 16 bits writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveWide {
    /// `MOVZ`: these bits, and zeroes around them.
    Zero,
    /// `MOVN`: the complement of that.
    Not,
    /// `MOVK`: these bits, and the rest as it was.
    Keep,
}

/// Addition or subtraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddSub {
    /// Addition.
    Add,
    /// Subtraction.
    Sub,
}

/// What a load from near the program counter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// 32 bits, zero-extended.
    Word,
    /// 64 bits.
    Doubleword,
    /// 32 bits, sign-extended.
    SignedWord,
}

/// How much of its operands a branch on a comparison compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Doubleword,
}

impl From<Width> for Size {
    fn from(width: Width) -> Self {
        match width {
            Width::W => Self::Word,
            Width::X => Self::Doubleword,
        }
    }
}

/// What has to be so for a branch on a comparison to branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `GT`, signed.
    Greater,
    /// `GE`, signed.
    GreaterOrEqual,
    /// `LT`, signed.
    Less,
    /// `HI`, unsigned.
    Higher,
    /// `HS`, unsigned.
    HigherOrSame,
    /// `LO`, unsigned.
    Lower,
    /// `EQ`.
    Equal,
    /// `NE`.
    NotEqual,
}

/// The second operand of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparand {
    /// A register.
    Reg(Reg),
    /// A number, 0 to 63.
    Immediate(u8),
}

/// A part of the processor state that is a system register of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateField {
    /// `NZCV`.
    Nzcv,
    /// `DAIF`.
    Daif,
    /// `CurrentEL`.
    CurrentEl,
    /// `SPSel`.
    SpSel,
    /// `PAN`.
    Pan,
    /// `UAO`.
    Uao,
    /// `DIT`.
    Dit,
    /// `SSBS`.
    Ssbs,
    /// `TCO`.
    Tco,
    /// `ALLINT`.
    AllInt,
}

impl StateField {
    /// Returns where the field is, which is the same in the register, in `SPSR_ELx` and in
    /// [`PtRegs::pstate`](crate::PtRegs).
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::Nzcv => 0xf << 28,
            Self::Daif => 0xf << 6,
            Self::CurrentEl => 0b11 << 2,
            Self::SpSel => 1,
            Self::Pan => 1 << 22,
            Self::Uao => 1 << 23,
            Self::Dit => 1 << 24,
            Self::Ssbs => 1 << 12,
            Self::Tco => 1 << 25,
            Self::AllInt => 1 << 13,
        }
    }

    /// Tells whether EL0 may read the register.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Nzcv | Self::Dit | Self::Ssbs | Self::Tco)
    }
}

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
