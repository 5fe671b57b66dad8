//! How stage 2 of each CPU is set.

use core::arch::asm;

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable, VTCR_EL2, Writeable};

use super::stage2;

/// Bits of a guest-physical address.
pub(crate) const ADDRESS_BITS: u64 = 39;

/// Sets the executing CPU's stage 2 up: 39 bits, starting at level 1, 4 KiB pages, cacheable walks.
pub(crate) fn init_cpu() {
    const RES1: u64 = 1 << 31;
    const LEVEL_1: u64 = 1 << 6;
    const WRITE_BACK_WALKS: u64 = 1 << 10 | 1 << 8;
    const INNER_SHAREABLE_WALKS: u64 = 3 << 12;
    let size = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(5);
    VTCR_EL2.set(
        RES1 | size << 16
            | INNER_SHAREABLE_WALKS
            | WRITE_BACK_WALKS
            | LEVEL_1
            | (64 - ADDRESS_BITS),
    );
    stage2::unload();
    // SAFETY: nothing of any VM is in use on this CPU yet.
    unsafe {
        asm!(
            "isb",
            "tlbi vmalls12e1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}

/// Returns what stage 2 of the executing CPU is set to.
pub(crate) fn control() -> u64 {
    VTCR_EL2.get()
}
