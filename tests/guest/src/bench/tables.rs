//! Translation tables as deep as those of a Linux kernel: four levels, down to pages.
//!
//! They map what the first tables map, so that translation can be switched off while one takes the place of the other.

use core::{arch::asm, cell::UnsafeCell};

const ENTRIES: usize = 512;
const PAGE: u64 = 4 << 10;
const BLOCK: u64 = 2 << 20;
/// Where memory starts, in the second GiB; below are devices.
const MEMORY: u64 = 1 << 30;

// Bits of descriptors (ARM ARM D8.3); index 0 of the memory attributes is Device, index 1 Normal memory.
const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const NORMAL_MEMORY: u64 = 1 << 2;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const PRIVILEGED_EXECUTE_NEVER: u64 = 1 << 53;
const EXECUTE_NEVER: u64 = 1 << 54;

const DEVICES: u64 = VALID | ACCESSED | EXECUTE_NEVER | PRIVILEGED_EXECUTE_NEVER;
const BLOCK_OF_MEMORY: u64 = VALID | NORMAL_MEMORY | INNER_SHAREABLE | ACCESSED | EXECUTE_NEVER;
const PAGE_OF_MEMORY: u64 = BLOCK_OF_MEMORY | TABLE_OR_PAGE;

/// One table of each level.
#[repr(C, align(4096))]
struct Tables([UnsafeCell<[u64; ENTRIES]>; 4]);

// SAFETY: only `install` accesses the tables, once, on the first vCPU while there is no other.
unsafe impl Sync for Tables {}

static TABLES: Tables = Tables([const { UnsafeCell::new([0; ENTRIES]) }; 4]);

impl Tables {
    /// Returns a descriptor of the table of `level`.
    fn link(&self, level: usize) -> u64 {
        self.0[level].get() as u64 | VALID | TABLE_OR_PAGE
    }

    /// Fills the table of `level`.
    ///
    /// # Safety
    ///
    /// Nobody else accesses the tables, and no translation uses them yet.
    unsafe fn fill(&self, level: usize, descriptors: impl Iterator<Item = u64>) {
        // SAFETY: the caller says so.
        let table = unsafe { &mut *self.0[level].get() };
        for (entry, descriptor) in table.iter_mut().zip(descriptors) {
            *entry = descriptor;
        }
    }
}

/// Has the executing vCPU translate with four levels.
pub(super) fn install() {
    let blocks = (0..).map(|index| (MEMORY + index * BLOCK) | BLOCK_OF_MEMORY);
    let pages = (0..).map(|index| (MEMORY + index * PAGE) | PAGE_OF_MEMORY);
    // SAFETY: this runs once, on the only vCPU, before the tables are used.
    unsafe { TABLES.fill(0, [TABLES.link(1)].into_iter()) };
    // SAFETY: as above.
    unsafe { TABLES.fill(1, [DEVICES, TABLES.link(2)].into_iter()) };
    // SAFETY: as above.
    unsafe { TABLES.fill(2, [TABLES.link(3)].into_iter().chain(blocks.skip(1))) };
    // SAFETY: as above.
    unsafe { TABLES.fill(3, pages) };
    // SAFETY: the tables map what was mapped, at the same places, and are complete.
    unsafe { switch(TABLES.0[0].get() as u64) };
}

/// Translates with the tables at `root`, for 48 bits of addresses.
///
/// # Safety
///
/// They map what is mapped now, and everything at its own address.
unsafe fn switch(root: u64) {
    const ENABLE: u64 = 1;
    /// `TCR_EL1.T0SZ` for 48 bits.
    const SIZE: u64 = 16;
    // SAFETY: everything is at its own address, so the instructions are executed with translation and without; none of
    // them accesses memory. Walks read through the caches, as the tables were written.
    unsafe {
        asm!(
            "dsb ish",
            "mrs {control}, sctlr_el1",
            "bic {off}, {control}, #{enable}",
            "msr sctlr_el1, {off}",
            "isb",
            "msr ttbr0_el1, {root}",
            "mrs {tcr}, tcr_el1",
            "bfi {tcr}, {size}, #0, #6",
            "msr tcr_el1, {tcr}",
            "isb",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            "msr sctlr_el1, {control}",
            "isb",
            enable = const ENABLE,
            size = in(reg) SIZE,
            root = in(reg) root,
            control = out(reg) _,
            off = out(reg) _,
            tcr = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}
