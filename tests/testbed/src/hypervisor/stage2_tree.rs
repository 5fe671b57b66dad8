//! The translation tables of one view of a VM's memory: 39 bits in three levels, pages of 4 KiB and blocks of 2 MiB.

use alloc::vec::Vec;
use core::arch::asm;

use axebpf::platform::GuestPhys;

use super::{heap, stage2, stage2_control::ADDRESS_BITS, sysreg};

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Bytes of a block.
pub(crate) const BLOCK: u64 = 2 << 20;

const ENTRIES: u64 = 512;
const VALID: u64 = 1;
/// Set in the entry of a page or a table; clear in that of a block.
const NOT_BLOCK: u64 = 2;
const ADDRESS: u64 = 0xffff_ffff_f000;

/// One entry that maps something, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf(pub(crate) u64);

impl Leaf {
    /// The entry that maps nothing.
    pub(crate) const NONE: Self = Self(0);

    /// Tells whether it maps something.
    pub(crate) fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// Returns where in the machine's memory what it maps begins.
    pub(crate) fn machine(self) -> u64 {
        self.0 & ADDRESS
    }

    /// Makes the entry of a page at `machine` with the attributes of this one.
    fn as_page(self, machine: u64) -> Self {
        Self(self.0 & !ADDRESS | machine | NOT_BLOCK | VALID)
    }
}

/// There is no memory left for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// The tables of one view.
pub(crate) struct Tree {
    vmid: u8,
    root: u64,
    lower: Vec<u64>,
}

impl Tree {
    /// Makes a tree that maps nothing and is tagged `vmid` in the TLB.
    pub(crate) fn new(vmid: u8) -> Result<Self, NoMemory> {
        let root = heap::alloc_pages(1).ok_or(NoMemory)?;
        Ok(Self {
            vmid,
            root,
            lower: Vec::new(),
        })
    }

    /// Returns what `VTTBR_EL2` holds while the view is in use. `CnP` is 0: other CPUs may have other tables for the
    /// VMID.
    pub(crate) fn vttbr(&self) -> u64 {
        u64::from(self.vmid) << 48 | self.root
    }

    /// Returns the entry of the page at `at`, or what it would be where a block maps it.
    pub(crate) fn find(&self, at: GuestPhys) -> Leaf {
        if at.get() >> ADDRESS_BITS != 0 {
            return Leaf::NONE;
        }
        let mut table = self.root;
        for level in [1, 2] {
            let entry = read_entry(slot(table, at, level));
            if entry & VALID == 0 {
                return Leaf::NONE;
            }
            if entry & NOT_BLOCK == 0 {
                let block = Leaf(entry);
                let offset = at.get() & (BLOCK - 1) & !(PAGE - 1);
                return block.as_page(block.machine() + offset);
            }
            table = entry & ADDRESS;
        }
        Leaf(read_entry(slot(table, at, 3)))
    }

    /// Returns the page's entry of `at`, and makes the tables that lead there. A block in the way is split.
    fn page_slot(&mut self, at: GuestPhys) -> Result<*mut u64, NoMemory> {
        let middle = self.block_slot(at)?;
        let entry = read_entry(middle);
        let table = match (entry & VALID, entry & NOT_BLOCK) {
            (0, _) => self.table_at(middle)?,
            (_, 0) => self.split(middle, Leaf(entry))?,
            _ => entry & ADDRESS,
        };
        Ok(slot(table, at, 3))
    }

    /// Returns the block's entry of `at`, and makes the tables that lead there.
    fn block_slot(&mut self, at: GuestPhys) -> Result<*mut u64, NoMemory> {
        let top = slot(self.root, at, 1);
        let entry = read_entry(top);
        let table = if entry & VALID == 0 {
            self.table_at(top)?
        } else {
            entry & ADDRESS
        };
        Ok(slot(table, at, 2))
    }

    /// Makes an empty table and lets `entry` lead to it.
    fn table_at(&mut self, entry: *mut u64) -> Result<u64, NoMemory> {
        let table = heap::alloc_pages(1).ok_or(NoMemory)?;
        self.lower.push(table);
        // The table's zeroes must be seen before the entry that leads to it.
        sysreg::data_barrier();
        write_entry(entry, table | NOT_BLOCK | VALID);
        Ok(table)
    }

    /// Replaces a block by a table of pages that maps the same.
    ///
    /// In between nothing is mapped there (ARM ARM D8.16.1, break-before-make): a vCPU that comes along takes a
    /// translation fault, which waits for the lock of the tables and finds it mended.
    fn split(&mut self, entry: *mut u64, block: Leaf) -> Result<u64, NoMemory> {
        let table = heap::alloc_pages(1).ok_or(NoMemory)?;
        self.lower.push(table);
        for index in 0..ENTRIES {
            let page = block.as_page(block.machine() + index * PAGE);
            write_entry((table + index * 8) as *mut u64, page.0);
        }
        write_entry(entry, 0);
        self.invalidate_all();
        write_entry(entry, table | NOT_BLOCK | VALID);
        sysreg::data_barrier();
        Ok(table)
    }

    /// Gives the page at `at` an entry of its own, so that [`set_page`](Self::set_page) needs no memory.
    pub(crate) fn prepare(&mut self, at: GuestPhys) -> Result<(), NoMemory> {
        self.page_slot(at).map(drop)
    }

    /// Makes `leaf` the entry of the page at `at`, by way of no entry if there was one.
    pub(crate) fn set_page(&mut self, at: GuestPhys, leaf: Leaf) -> Result<(), NoMemory> {
        let entry = self.page_slot(at)?;
        let old = Leaf(read_entry(entry));
        if old == leaf {
            return Ok(());
        }
        if old.is_valid() {
            write_entry(entry, 0);
            self.invalidate(at);
        }
        write_entry(entry, leaf.0);
        // The walker of the vCPU that touches the page must see the entry; no TLB holds an invalid one.
        sysreg::data_barrier();
        Ok(())
    }

    /// Makes the tables that lead to the block around `at`, so that [`set_block`](Self::set_block) needs no memory.
    pub(crate) fn prepare_block(&mut self, at: GuestPhys) -> Result<(), NoMemory> {
        self.block_slot(at).map(drop)
    }

    /// Makes the block around `at` map `leaf`. Nothing is mapped there, as [`takes_block`](Self::takes_block) has said.
    pub(crate) fn set_block(&mut self, at: GuestPhys, leaf: Leaf) -> Result<(), NoMemory> {
        let entry = self.block_slot(at)?;
        write_entry(entry, leaf.0 & !NOT_BLOCK);
        sysreg::data_barrier();
        Ok(())
    }

    /// Tells whether a block could be mapped around `at`: whether there is no table of pages.
    pub(crate) fn takes_block(&self, at: GuestPhys) -> bool {
        let top = read_entry(slot(self.root, at, 1));
        top & VALID == 0 || read_entry(slot(top & ADDRESS, at, 2)) & VALID == 0
    }

    /// Calls `visit` with the address and the entry of each page that has one of its own.
    pub(crate) fn for_each_page(&self, mut visit: impl FnMut(u64, Leaf)) {
        for (top_index, top) in entries(self.root) {
            for (index, table) in entries(top & ADDRESS).filter(|(_, entry)| entry & NOT_BLOCK != 0)
            {
                for (page_index, page) in entries(table & ADDRESS) {
                    let at = (top_index * ENTRIES + index) * BLOCK + page_index * PAGE;
                    visit(at, Leaf(page));
                }
            }
        }
    }

    /// Removes `at` from all TLBs: first the stage 2 entry, then what was combined from it.
    ///
    /// `IPAS2E1IS` removes entries of stage 2 alone, so whatever was cached of a walk of stage 1, or of both stages
    /// combined, has to go too, and by the guest-virtual address nobody knows: all of it. The `DSB` in between keeps a
    /// walk from making such an entry anew from one of stage 2 that is still there. Both reach the entries of all
    /// views, which have one number, on all CPUs: more than is needed, and enough at once.
    fn invalidate(&self, at: GuestPhys) {
        stage2::with_vmid(self.vmid, || {
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
        });
    }

    /// Removes all of the VM from all TLBs.
    pub(crate) fn invalidate_all(&self) {
        stage2::with_vmid(self.vmid, || {
            // SAFETY: as in `invalidate`.
            unsafe {
                asm!(
                    "dsb ishst",
                    "tlbi vmalls12e1is",
                    "dsb ish",
                    "isb",
                    options(nostack, preserves_flags)
                )
            }
        });
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // No CPU has the VM loaded any more.
        self.invalidate_all();
        for table in self.lower.drain(..).chain([self.root]) {
            // SAFETY: the table came from `alloc_pages(1)`, and nobody can reach it any more.
            unsafe { heap::free_pages(table, 1) };
        }
    }
}

/// Returns the valid entries of a table with their numbers.
fn entries(table: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..ENTRIES)
        .map(move |index| (index, read_entry((table + index * 8) as *mut u64)))
        .filter(|(_, entry)| entry & VALID != 0)
}

fn slot(table: u64, at: GuestPhys, level: u64) -> *mut u64 {
    let index = at.get() >> (12 + 9 * (3 - level)) & (ENTRIES - 1);
    (table + index * 8) as *mut u64
}

fn read_entry(entry: *mut u64) -> u64 {
    // SAFETY: the pointer was made by `slot` or from a table of a tree: aligned, and alive as long as its `Tree`.
    unsafe { entry.read_volatile() }
}

fn write_entry(entry: *mut u64, value: u64) {
    // SAFETY: as in `read_entry`; the `Tree` is borrowed mutably, so that nobody else writes.
    unsafe { entry.write_volatile(value) }
}
