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
    /// `B.cond`.
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
