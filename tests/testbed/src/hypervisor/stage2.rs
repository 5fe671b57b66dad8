//! Stage 2: what a VM takes for physical memory.
//!
//! 39 bits of guest-physical address in three levels of 4 KiB tables, all mappings of one page, made when first touched.

use alloc::vec::Vec;
use core::arch::asm;

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable, VTCR_EL2, VTTBR_EL2, Writeable};
use axebpf::platform::GuestPhys;

use super::{cache, heap, lock::Lock, sysreg};

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Bits of a guest-physical address.
pub(crate) const ADDRESS_BITS: u64 = 39;

// Bits of a stage 2 page descriptor (ARM ARM D8.3.2): Normal write-back memory, readable and writable, inner
// shareable, accessed.
const PAGE_DESCRIPTOR: u64 = 3;
const TABLE_DESCRIPTOR: u64 = 3;
const WRITE_BACK: u64 = 0xf << 2;
const READ_WRITE: u64 = 3 << 6;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const ADDRESS_MASK: u64 = 0xffff_ffff_f000;

/// The guest-physical address space of one VM.
pub(crate) struct Stage2 {
    vttbr: u64,
    tables: Lock<Tables>,
}

/// The tables of an address space. They own the pages that they map.
struct Tables {
    root: u64,
    lower: Vec<u64>,
    pages: usize,
}

/// Why a page could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stage2Error {
    /// There is no memory left.
    #[error("no memory left for the page at {at}")]
    NoMemory {
        /// The page.
        at: GuestPhys,
    },
}

impl Stage2 {
    /// Makes an empty address space that is tagged `vmid` in the TLB.
    pub(crate) fn new(vmid: u16) -> Result<Self, Stage2Error> {
        let at = GuestPhys::new(0);
        let root = heap::alloc_pages(1).ok_or(Stage2Error::NoMemory { at })?;
        let vttbr = u64::from(vmid) << 48 | root;
        let tables = Lock::new(Tables {
            root,
            lower: Vec::new(),
            pages: 0,
        });
        Ok(Self { vttbr, tables })
    }

    /// Returns what `VTTBR_EL2` holds while the VM is loaded.
    pub(crate) fn vttbr(&self) -> u64 {
        self.vttbr
    }

    /// Returns how many pages are mapped.
    pub(crate) fn pages(&self) -> usize {
        self.tables.lock().pages
    }

    /// Maps a fresh zeroed page at `at` unless there is one, and returns where it is.
    pub(crate) fn map(&self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        self.tables.lock().map(at)
    }

    /// Unmaps the page at `at` and frees it. Tells whether there was one.
    ///
    /// The VM must be loaded on the executing CPU.
    pub(crate) fn unmap(&self, at: GuestPhys) -> bool {
        self.tables.lock().unmap(at)
    }

    /// Removes all of the VM from all TLBs. No CPU has it loaded any more.
    fn forget(&self) {
        let daif = sysreg::mask_interrupts();
        let loaded = VTTBR_EL2.get();
        VTTBR_EL2.set(self.vttbr);
        // SAFETY: invalidating the TLB is always allowed; the barriers make it apply to this VM and complete.
        unsafe {
            asm!(
                "isb",
                "tlbi vmalls12e1is",
                "dsb ish",
                options(nostack, preserves_flags)
            )
        }
        VTTBR_EL2.set(loaded);
        sysreg::context_barrier();
        sysreg::restore_interrupts(daif);
    }
}

impl Drop for Stage2 {
    fn drop(&mut self) {
        self.forget();
        self.tables.get_mut().free();
    }
}

impl Tables {
    fn map(&mut self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        let entry = self.leaf(at)?;
        let old = read_entry(entry);
        if old & 1 != 0 {
            return Ok(MappedPage::Old(old & ADDRESS_MASK));
        }
        let page = heap::alloc_pages(1).ok_or(Stage2Error::NoMemory { at })?;
        cache::clean(page..page + PAGE);
        write_entry(
            entry,
            page | PAGE_DESCRIPTOR | WRITE_BACK | READ_WRITE | INNER_SHAREABLE | ACCESSED,
        );
        self.pages += 1;
        // The walker of the vCPU that touches the page must see the entry; no TLB holds an invalid one.
        sysreg::data_barrier();
        Ok(MappedPage::New(page))
    }

    fn unmap(&mut self, at: GuestPhys) -> bool {
        let Some(entry) = self.existing_leaf(at) else {
            return false;
        };
        let old = read_entry(entry);
        if old & 1 == 0 {
            return false;
        }
        write_entry(entry, 0);
        invalidate(at);
        self.pages -= 1;
        // SAFETY: the page came from `alloc_pages(1)` in `map`; its entry is gone and no TLB holds it any more.
        unsafe { heap::free_pages(old & ADDRESS_MASK, 1) };
        true
    }

    fn existing_leaf(&self, at: GuestPhys) -> Option<*mut u64> {
        let mut table = (at.get() >> ADDRESS_BITS == 0).then_some(self.root)?;
        for level in [1, 2] {
            let entry = read_entry(slot(table, at, level));
            if entry & 1 == 0 {
                return None;
            }
            table = entry & ADDRESS_MASK;
        }
        Some(slot(table, at, 3))
    }

    fn leaf(&mut self, at: GuestPhys) -> Result<*mut u64, Stage2Error> {
        let mut table = self.root;
        for level in [1, 2] {
            let entry = slot(table, at, level);
            let mut value = read_entry(entry);
            if value & 1 == 0 {
                let next = heap::alloc_pages(1).ok_or(Stage2Error::NoMemory { at })?;
                self.lower.push(next);
                value = next | TABLE_DESCRIPTOR;
                // The table's zeroes must be seen before the entry that leads to it.
                sysreg::data_barrier();
                write_entry(entry, value);
            }
            table = value & ADDRESS_MASK;
        }
        Ok(slot(table, at, 3))
    }

    /// Frees all tables and pages. No CPU has the VM loaded or in its TLB any more.
    fn free(&mut self) {
        for table in &self.lower {
            free_pages_of(*table);
        }
        for table in self.lower.drain(..).chain([self.root]) {
            // SAFETY: the table came from `alloc_pages(1)`, and nobody can reach it any more.
            unsafe { heap::free_pages(table, 1) };
        }
    }
}

/// Frees the pages that `table` maps, if it is of the last level.
fn free_pages_of(table: u64) {
    for index in 0..512 {
        let entry = read_entry((table + index * 8) as *mut u64);
        // The access flag tells a page's entry from a table's.
        if entry & 1 != 0 && entry & ACCESSED != 0 {
            // SAFETY: the page came from `alloc_pages(1)` in `map`, and nobody can reach it any more.
            unsafe { heap::free_pages(entry & ADDRESS_MASK, 1) };
        }
    }
}

/// A page of a VM, by its address in the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MappedPage {
    /// It has just been mapped.
    New(u64),
    /// It was mapped before.
    Old(u64),
}

impl MappedPage {
    /// Returns the address.
    pub(crate) fn address(self) -> u64 {
        match self {
            Self::New(at) | Self::Old(at) => at,
        }
    }
}

fn slot(table: u64, at: GuestPhys, level: u64) -> *mut u64 {
    let index = at.get() >> (12 + 9 * (3 - level)) & 0x1ff;
    (table + index * 8) as *mut u64
}

fn read_entry(entry: *mut u64) -> u64 {
    // SAFETY: the pointer was made by `slot` from a table of ours: aligned, and alive as long as its `Stage2`.
    unsafe { entry.read_volatile() }
}

fn write_entry(entry: *mut u64, value: u64) {
    // SAFETY: as in `read_entry`; the `Stage2` is borrowed mutably, so that nobody else writes.
    unsafe { entry.write_volatile(value) }
}

/// Removes `at` of the loaded VM from all TLBs: first the stage 2 entry, then what was combined from it.
fn invalidate(at: GuestPhys) {
    // SAFETY: invalidating the TLB is always allowed; the barriers order it after the change of the table.
    unsafe {
        asm!(
            "dsb ishst",
            "tlbi ipas2e1is, {page}",
            "dsb ish",
            "tlbi vmalle1is",
            "dsb ish",
            "isb",
            page = in(reg) at.get() >> 12,
            options(nostack, preserves_flags),
        );
    }
}

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
    VTTBR_EL2.set(0);
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
