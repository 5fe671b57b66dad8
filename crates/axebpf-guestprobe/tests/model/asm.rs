//! The few instructions that the guest programs consist of.

pub(crate) const RET: u32 = 0xd65f_03c0;
pub(crate) const NOP: u32 = 0xd503_201f;
pub(crate) const PACIASP: u32 = 0xd503_233f;
pub(crate) const AUTIASP: u32 = 0xd503_23bf;
/// `stp x29, x30, [sp, #-16]!`
pub(crate) const PUSH_FRAME: u32 = 0xa9bf_7bfd;
/// `ldp x29, x30, [sp], #16`
pub(crate) const POP_FRAME: u32 = 0xa8c1_7bfd;
/// `brk #4`, which is Linux's own for kprobes.
pub(crate) const GUEST_BRK: u32 = 0xd420_0080;
/// `eret`
pub(crate) const ERET: u32 = 0xd69f_03e0;

fn displacement(from: u64, to: u64, bits: u32) -> u32 {
    let words = (to as i64 - from as i64) / 4;
    words as u32 & ((1 << bits) - 1)
}

pub(crate) fn bl(from: u64, to: u64) -> u32 {
    0x9400_0000 | displacement(from, to, 26)
}

pub(crate) fn cbnz(reg: u32, from: u64, to: u64) -> u32 {
    0xb500_0000 | displacement(from, to, 19) << 5 | reg
}

pub(crate) fn movz(reg: u32, imm: u16) -> u32 {
    0xd280_0000 | u32::from(imm) << 5 | reg
}

pub(crate) fn movk16(reg: u32, imm: u16) -> u32 {
    0xf2a0_0000 | u32::from(imm) << 5 | reg
}

pub(crate) fn add_imm(to: u32, from: u32, imm: u32) -> u32 {
    0x9100_0000 | imm << 10 | from << 5 | to
}

pub(crate) fn sub_imm(to: u32, from: u32, imm: u32) -> u32 {
    0xd100_0000 | imm << 10 | from << 5 | to
}

/// `eor to, left, right, lsl #amount`
pub(crate) fn eor(to: u32, left: u32, right: u32, amount: u32) -> u32 {
    0xca00_0000 | right << 16 | amount << 10 | left << 5 | to
}

/// `ldr to, [base, #offset]`
pub(crate) fn ldr(to: u32, base: u32, offset: u32) -> u32 {
    0xf940_0000 | (offset / 8) << 10 | base << 5 | to
}

/// `str from, [base, #offset]`
pub(crate) fn str(from: u32, base: u32, offset: u32) -> u32 {
    0xf900_0000 | (offset / 8) << 10 | base << 5 | from
}

/// `str from, [base, #offset]`, 32 bits
pub(crate) fn str_w(from: u32, base: u32, offset: u32) -> u32 {
    0xb900_0000 | (offset / 4) << 10 | base << 5 | from
}
