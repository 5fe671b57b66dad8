//! Arithmetic of the simulated instructions.

use crate::Flags;
use crate::insn::{AddSub, MoveWide, Width};

/// Returns the low bits of `value` that `width` has.
pub(crate) fn truncate(value: u64, width: Width) -> u64 {
    match width {
        Width::W => value & 0xffff_ffff,
        Width::X => value,
    }
}

/// Computes what a move of the bits in `mask` makes of `old`.
pub(crate) fn move_wide(op: MoveWide, old: u64, bits: u64, mask: u64) -> u64 {
    match op {
        MoveWide::Zero => bits,
        MoveWide::Not => !bits,
        MoveWide::Keep => old & !mask | bits,
    }
}

/// The result of an addition or a subtraction.
pub(crate) struct Sum {
    pub(crate) value: u64,
    pub(crate) flags: Flags,
}

impl Sum {
    /// Computes `left` plus or minus `right` in `width` bits (ARM ARM, `AddWithCarry`).
    pub(crate) fn of(op: AddSub, left: u64, right: u64, width: Width) -> Self {
        let bits = match width {
            Width::W => 32,
            Width::X => 64,
        };
        let (left, right) = (truncate(left, width), truncate(right, width));
        // Subtracting is adding the complement and one.
        let (right, carry) = match op {
            AddSub::Add => (right, 0),
            AddSub::Sub => (truncate(!right, width), 1),
        };
        let exact = u128::from(left) + u128::from(right) + carry;
        let value = truncate(exact as u64, width);
        let sign = |v: u64| v >> (bits - 1) & 1;
        let overflow = sign(left) == sign(right) && sign(value) != sign(left);
        let nzcv = (sign(value) as u8) << 3
            | u8::from(value == 0) << 2
            | u8::from(exact >> bits != 0) << 1
            | u8::from(overflow);
        Self {
            value,
            flags: Flags::from_nzcv(nzcv),
        }
    }
}
