//! The guest's translation: its memory where it is, normal and cached, for the kernel alone.

use axebpf_guestprobe::SystemRegister;

use crate::machine::{MEMORY, Model, PAGE};
use crate::vcpu::ModelVcpu;

/// Where the tables are, one for each level.
pub(crate) const TABLES: u64 = 0x3_0000;
/// A page that has been accessed.
pub(crate) const AF: u64 = 1 << 10;
/// Translation and caches are on, and `PAN` is left alone by exceptions.
pub(crate) const SCTLR: u64 = 1 | 1 << 2 | 1 << 3 | 1 << 23;
/// Two ranges of 48 bits, pages of 4 KiB, and addresses of 48 bits.
pub(crate) const TCR: u64 = 5 << 32 | 2 << 30 | 16 << 16 | 16;
/// Of what kinds memory can be, from index 0 on: cached, cached with tags, not cached, a device, written through,
/// cached for a short time, a device again.
pub(crate) const MAIR: u64 = 0x77_bb_00_44_f0_ff;

/// Makes the tables.
pub(crate) fn build(model: &Model) {
    let store = |at: u64, word: u64| model.machine.store(at, &word.to_le_bytes());
    for level in 0..3 {
        store(TABLES + PAGE * level, (TABLES + PAGE * (level + 1)) | 3);
    }
    (0..MEMORY / PAGE).for_each(|page| set(model, page, 0));
}

/// Gives a page other attributes than [`AF`].
pub(crate) fn set(model: &Model, page: u64, attributes: u64) {
    put(model, page, page << 12 | attributes | AF | 3);
}

/// Stores the descriptor of a page.
pub(crate) fn put(model: &Model, page: u64, descriptor: u64) {
    let at = TABLES + 3 * PAGE + 8 * page;
    model.machine.store(at, &descriptor.to_le_bytes());
}

/// Puts one block in the place of all pages.
pub(crate) fn put_block(model: &Model, attributes: u64) {
    let at = TABLES + 2 * PAGE;
    model.machine.store(at, &(attributes | 1).to_le_bytes());
}

/// Turns the bytes of all descriptors around.
pub(crate) fn make_big_endian(model: &Model) {
    for at in (TABLES..TABLES + 4 * PAGE).step_by(8) {
        let descriptor = model.read_word(at);
        model.machine.store(at, &descriptor.to_be_bytes());
    }
}

/// Makes a vCPU use the tables.
pub(crate) fn enable(vcpu: &mut ModelVcpu) {
    let registers = [
        (SystemRegister::Ttbr0El1, TABLES),
        (SystemRegister::TcrEl1, TCR),
        (SystemRegister::MairEl1, MAIR),
        (SystemRegister::SctlrEl1, SCTLR),
    ];
    vcpu.system.extend(registers);
}
