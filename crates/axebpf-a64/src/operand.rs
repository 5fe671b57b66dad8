//! What the simulated instructions are made of.

use crate::Reg;

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

    /// Tells whether there are processors of Armv8.0 that lack it, on which reading it is undefined. What is simulated
    /// finds zero there.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        !matches!(
            self,
            Self::Nzcv | Self::Daif | Self::CurrentEl | Self::SpSel
        )
    }

    /// Tells whether EL0 may read the register.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Nzcv | Self::Dit | Self::Ssbs | Self::Tco)
    }
}
