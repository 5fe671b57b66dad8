//! Arithmetic of the simulated instructions.

use crate::insn::Insn;
use crate::operand::{AddSub, Comparison, MoveWide, Size, Width};
use crate::{Flags, PtRegs};

/// Returns the low bits of `value` that `width` has.
pub(crate) fn truncate(value: u64, width: Width) -> u64 {
    match width {
        Width::W => value & 0xffff_ffff,
        Width::X => value,
    }
}

/// Executes a move, or an addition or a subtraction of an immediate.
pub(crate) fn process(insn: Insn, regs: &mut PtRegs) {
    match insn {
        Insn::Move {
            dest,
            source,
            width,
        } => regs.set(dest, truncate(regs.get(source), width)),
        Insn::MoveWide {
            op,
            dest,
            width,
            imm,
            shift,
        } => {
            let value = move_wide(op, regs.get(dest), u64::from(imm) << shift, 0xffff << shift);
            regs.set(dest, truncate(value, width));
        }
        Insn::AddSub {
            op,
            dest,
            left,
            width,
            imm,
        } => {
            let sum = Sum::of(op, regs.get_sp(left), u64::from(imm), width);
            regs.set_sp(dest, sum.value);
        }
        Insn::AddSubFlags {
            op,
            dest,
            left,
            width,
            imm,
        } => {
            let sum = Sum::of(op, regs.get_sp(left), u64::from(imm), width);
            regs.set(dest, sum.value);
            regs.set_flags(sum.flags);
        }
        _ => {}
    }
}

/// Computes what a move of the bits in `mask` makes of `old`.
fn move_wide(op: MoveWide, old: u64, bits: u64, mask: u64) -> u64 {
    match op {
        MoveWide::Zero => bits,
        MoveWide::Not => !bits,
        MoveWide::Keep => old & !mask | bits,
    }
}

/// Tells whether the low bits of `left` and `right` that `size` has compare as `test` says.
pub(crate) fn compare(test: Comparison, left: u64, right: u64, size: Size) -> bool {
    let shift = match size {
        Size::Byte => 56,
        Size::Half => 48,
        Size::Word => 32,
        Size::Doubleword => 0,
    };
    // At the top of 64 bits they compare as they do alone, signed or not.
    let (left, right) = (left << shift, right << shift);
    match test {
        Comparison::Greater => left.cast_signed() > right.cast_signed(),
        Comparison::GreaterOrEqual => left.cast_signed() >= right.cast_signed(),
        Comparison::Less => left.cast_signed() < right.cast_signed(),
        Comparison::Higher => left > right,
        Comparison::HigherOrSame => left >= right,
        Comparison::Lower => left < right,
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
    }
}

/// The result of an addition or a subtraction.
struct Sum {
    value: u64,
    flags: Flags,
}

impl Sum {
    /// Computes `left` plus or minus `right` in `width` bits (ARM ARM, `AddWithCarry`).
    fn of(op: AddSub, left: u64, right: u64, width: Width) -> Self {
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
