//! Operands: the registers, and what operations compute from them.

use crate::op::{Op, Reg};

/// The registers of a running program.
pub(super) struct Regs([u64; 11]);

impl Regs {
    /// Returns the registers as they are at the start: all zero but `r1`, `r2` and `r10`.
    pub(super) fn new([r1, r2]: [u64; 2], frame_pointer: u64) -> Self {
        // One by one: a call to clear an array costs more.
        Self([0, r1, r2, 0, 0, 0, 0, 0, 0, 0, frame_pointer])
    }

    #[inline(always)]
    pub(super) fn get(&self, reg: Reg) -> u64 {
        self.0[reg as usize]
    }

    #[inline(always)]
    pub(super) fn set(&mut self, reg: Reg, value: u64) {
        self.0[reg as usize] = value;
    }

    #[inline(always)]
    pub(super) fn dst(&self, op: &Op) -> u64 {
        self.get(op.dst)
    }

    #[inline(always)]
    pub(super) fn src(&self, op: &Op) -> u64 {
        self.get(op.src)
    }

    #[inline(always)]
    pub(super) fn set_dst(&mut self, op: &Op, value: impl Into<u64>) {
        self.set(op.dst, value.into());
    }

    /// Returns the address that a load reads from: the source register and the offset.
    #[inline(always)]
    pub(super) fn from(&self, op: &Op) -> u64 {
        self.src(op).wrapping_add(i64::from(op.off) as u64)
    }

    /// Returns the address that a store or atomic operation writes to: the destination register and the offset.
    #[inline(always)]
    pub(super) fn to(&self, op: &Op) -> u64 {
        self.dst(op).wrapping_add(i64::from(op.off) as u64)
    }

    /// Returns the registers of a call's arguments.
    #[inline(always)]
    pub(super) fn arguments(&self) -> [u64; 5] {
        let [_, a, b, c, d, e, ..] = self.0;
        [a, b, c, d, e]
    }

    pub(super) fn set_arguments(&mut self, arguments: [u64; 5]) {
        self.0[1..=5].copy_from_slice(&arguments);
    }

    /// Returns the registers that a function must leave as they are.
    #[inline(always)]
    pub(super) fn saved(&self) -> [u64; 4] {
        let [.., a, b, c, d, _] = self.0;
        [a, b, c, d]
    }

    #[inline(always)]
    pub(super) fn restore(&mut self, saved: [u64; 4]) {
        self.0[6..=9].copy_from_slice(&saved);
    }

    /// Computes the 64-bit destination from itself and the immediate.
    #[inline(always)]
    pub(super) fn k64(&mut self, op: &Op, f: impl Fn(u64, u64) -> u64) {
        self.set(op.dst, f(self.dst(op), op.imm));
    }

    /// Computes the 64-bit destination from itself and the source register.
    #[inline(always)]
    pub(super) fn x64(&mut self, op: &Op, f: impl Fn(u64, u64) -> u64) {
        self.set(op.dst, f(self.dst(op), self.src(op)));
    }

    /// Computes the 32-bit destination from itself and the immediate; the upper half becomes zero.
    #[inline(always)]
    pub(super) fn k32(&mut self, op: &Op, f: impl Fn(u32, u32) -> u32) {
        self.set(op.dst, f(self.dst(op) as u32, op.imm as u32).into());
    }

    /// Computes the 32-bit destination from itself and the source register; the upper half becomes zero.
    #[inline(always)]
    pub(super) fn x32(&mut self, op: &Op, f: impl Fn(u32, u32) -> u32) {
        self.set(op.dst, f(self.dst(op) as u32, self.src(op) as u32).into());
    }
}
