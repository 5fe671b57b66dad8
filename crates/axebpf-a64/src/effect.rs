//! What an instruction leaves alone.

use crate::insn::Insn;
use crate::operand::LandingPad;

impl LandingPad {
    /// Tells whether a branch that left this `BTYPE`, 0 to 3, may go to the pad (ARM ARM, `BTypeCompatible_BTI`).
    pub(crate) fn accepts(self, btype: u8) -> bool {
        match btype {
            0 => true,
            1 => self != Self::None,
            2 => matches!(self, Self::Call | Self::Both),
            _ => matches!(self, Self::Jump | Self::Both),
        }
    }
}

impl Insn {
    /// Returns what kind of landing pad it is.
    pub(crate) fn landing_pad(self) -> LandingPad {
        match self {
            Self::Bti(pad) => pad,
            _ => LandingPad::None,
        }
    }

    /// Tells whether what it does depends on whether its page is guarded, if `BTYPE` is `btype` (0 to 3) before it.
    ///
    /// If not, [`simulate`](crate::simulate) does the same with [`BranchTargets::Guarded`](crate::BranchTargets) and
    /// `Unguarded`, so that there is no need to look the page up.
    #[must_use]
    pub fn depends_on_guard(self, btype: u8) -> bool {
        matches!(self, Self::BranchReg { .. }) || !self.landing_pad().accepts(btype)
    }

    /// Tells whether it changes nothing but the program counter and `BTYPE`.
    #[must_use]
    pub fn only_branches(self) -> bool {
        matches!(
            self,
            Self::Nop
                | Self::Bti(_)
                | Self::Branch { .. }
                | Self::BranchCond { .. }
                | Self::CompareBranch { .. }
                | Self::CompareTwo { .. }
                | Self::TestBranch { .. }
                | Self::BranchReg { .. }
                | Self::Ret { .. }
        )
    }
}
