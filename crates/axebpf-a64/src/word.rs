//! The fields of an instruction word.

use crate::operand::Width;
use crate::{Reg, RegSp};

/// An instruction word, and access to its fields.
#[derive(Clone, Copy)]
pub(crate) struct Word(pub(crate) u32);

impl Word {
    /// Returns bits `high` down to `low`.
    pub(crate) const fn bits(self, high: u32, low: u32) -> u32 {
        (self.0 << (31 - high)) >> (31 - high + low)
    }

    /// Returns bits `high` down to `low` as a signed number.
    pub(crate) const fn signed(self, high: u32, low: u32) -> i64 {
        ((self.0 << (31 - high)).cast_signed() >> (31 - high + low)) as i64
    }

    /// Tells whether bit `n` is set.
    pub(crate) const fn bit(self, n: u32) -> bool {
        self.0 & (1 << n) != 0
    }

    /// Tells whether the bits of `mask` are those of `value`.
    pub(crate) const fn is(self, mask: u32, value: u32) -> bool {
        self.0 & mask == value
    }

    /// Returns the register in the lowest field, Rd or Rt.
    pub(crate) const fn rd(self) -> Reg {
        Reg::from_field(self.0)
    }

    /// Returns Rn as a register with the zero register.
    pub(crate) const fn rn(self) -> Reg {
        Reg::from_field(self.0 >> 5)
    }

    /// Returns Rm as a register with the zero register.
    pub(crate) const fn rm(self) -> Reg {
        Reg::from_field(self.0 >> 16)
    }

    /// Returns Rd as a register with the stack pointer.
    pub(crate) const fn rd_sp(self) -> RegSp {
        RegSp::from_field(self.0)
    }

    /// Returns Rn as a register with the stack pointer.
    pub(crate) const fn rn_sp(self) -> RegSp {
        RegSp::from_field(self.0 >> 5)
    }

    /// Returns the width that bit 31 says.
    pub(crate) const fn width(self) -> Width {
        if self.bit(31) { Width::X } else { Width::W }
    }
}
