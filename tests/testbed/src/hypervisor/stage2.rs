//! Stage 2: what a VM takes for physical memory.
//!
//! Each VM has two views of the same memory, each with its own tables and its own number in the TLB. The guest runs in the
//! first one. In both, single pages can be given other rights, or other contents, than the guest believes: that is what
//! probes on a guest are made of. A vCPU that has to execute what the first view hides is switched to the second one.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::arch::asm;

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable, VTCR_EL2, VTTBR_EL2, Writeable};
use axebpf::platform::GuestPhys;

pub(crate) use super::stage2_tree::PAGE;
use super::{
    cache, heap,
    lock::Lock,
    stage2_tree::{BLOCK, Found, Leaf, NoMemory, Tree},
};

/// Bits of a guest-physical address.
pub(crate) const ADDRESS_BITS: u64 = 39;

// Bits of a stage 2 page descriptor (ARM ARM D8.3.2): Normal write-back memory, inner shareable, accessed.
const PAGE_DESCRIPTOR: u64 = 3;
const WRITE_BACK: u64 = 0xf << 2;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
/// A bit for software: the page was allocated for this entry alone.
const OWNED: u64 = 1 << 55;

/// The guest-physical address space of one VM.
pub(crate) struct Stage2 {
    vttbr: [u64; 2],
    granule: Granule,
    tables: Lock<Tables>,
}

/// How memory is handed to a guest that touches it for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granule {
    /// A page of 4 KiB at a time.
    Page,
    /// A block of 2 MiB at a time.
    Block,
}

/// One of the two views of a VM's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// The one in which the guest runs.
    #[default]
    First,
    /// The one for what the first one hides.
    Second,
}

/// What the guest may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u64);

impl Rights {
    /// Read, write and execute.
    pub(crate) const ALL: Self = Self(3 << 6);

    /// Makes rights of the single ones.
    pub(crate) fn new(allowed: &[Right]) -> Self {
        allowed
            .iter()
            .fold(Self(EXECUTE_NEVER), |rights, right| match right {
                Right::Read => Self(rights.0 | 1 << 6),
                Right::Write => Self(rights.0 | 1 << 7),
                Right::Execute => Self(rights.0 & !EXECUTE_NEVER),
            })
    }
}

/// One thing that the guest may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Read it.
    Read,
    /// Write to it.
    Write,
    /// Execute it.
    Execute,
}

/// What a page shows instead of what the guest believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The guest's own page.
    Guest,
    /// The page at this address of the machine's memory, which stays allocated until the page is reset or the VM is gone.
    Machine(u64),
}

/// The tables of an address space. They own the memory that they map.
struct Tables {
    first: Tree,
    second: Tree,
    /// The blocks that were allocated.
    blocks: Vec<u64>,
    /// What the first view would have for the pages in which it differs from the guest's belief.
    originals: BTreeMap<u64, Leaf>,
    /// The pages in which the second view differs.
    changed: BTreeSet<u64>,
    pages: usize,
}

/// Why a page could not be mapped or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stage2Error {
    /// There is no memory left.
    #[error("no memory left for the page at {at}")]
    NoMemory {
        /// The page.
        at: GuestPhys,
    },
    /// The guest has no memory there.
    #[error("nothing is mapped at {at}")]
    NotMapped {
        /// The page.
        at: GuestPhys,
    },
}

impl Stage2 {
    /// Makes an empty address space for VM `number`.
    pub(crate) fn new(number: u32, granule: Granule) -> Result<Self, Stage2Error> {
        let no_memory = |NoMemory| Stage2Error::NoMemory {
            at: GuestPhys::new(0),
        };
        // TLB tags have 8 bits, and 0 is for no VM. Two VMs would share one only with 126 others between them.
        let tag = (number % 127) as u16 * 2 + 1;
        let first = Tree::new(tag).map_err(no_memory)?;
        let second = Tree::new(tag + 1).map_err(no_memory)?;
        Ok(Self {
            vttbr: [first.vttbr(), second.vttbr()],
            granule,
            tables: Lock::new(Tables {
                first,
                second,
                blocks: Vec::new(),
                originals: BTreeMap::new(),
                changed: BTreeSet::new(),
                pages: 0,
            }),
        })
    }

    /// Returns what `VTTBR_EL2` holds while a vCPU runs in `view`.
    pub(crate) fn vttbr(&self, view: View) -> u64 {
        match view {
            View::First => self.vttbr[0],
            View::Second => self.vttbr[1],
        }
    }

    /// Returns how many pages are mapped.
    pub(crate) fn pages(&self) -> usize {
        self.tables.lock().pages
    }

    /// Maps fresh zeroed memory at `at` unless there is some, and returns where the page is.
    pub(crate) fn map(&self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        self.tables.lock().map(at, self.granule)
    }

    /// Unmaps the page at `at` and frees it. Tells whether there was one that was allocated alone.
    pub(crate) fn unmap(&self, at: GuestPhys) -> bool {
        self.tables.lock().unmap(at)
    }

    /// Returns where the guest's own page at `at` lies in the machine's memory.
    pub(crate) fn machine_page(&self, at: GuestPhys) -> Option<u64> {
        self.tables.lock().original(at).map(Leaf::machine)
    }

    /// Lets the second view map what the guest has at `at`, if it does not yet. Tells whether there is something.
    pub(crate) fn fill_second(&self, at: GuestPhys) -> Result<bool, Stage2Error> {
        self.tables.lock().fill_second(at)
    }

    /// Gives the page at `at` these `rights` and this `content` in `view`, in all TLBs, until [`reset_page`](Self::reset_page).
    ///
    /// # Errors
    ///
    /// When the guest has no memory there, or there is none left for a table.
    pub(crate) fn set_page(
        &self,
        view: View,
        at: GuestPhys,
        content: Content,
        rights: Rights,
    ) -> Result<(), Stage2Error> {
        self.tables.lock().set_page(view, at, content, rights)
    }

    /// Makes the page at `at` in `view` what the guest believes it to be, in all TLBs.
    ///
    /// # Errors
    ///
    /// When there is no memory left for a table.
    pub(crate) fn reset_page(&self, view: View, at: GuestPhys) -> Result<(), Stage2Error> {
        self.tables.lock().reset_page(view, at)
    }
}

impl Tables {
    fn map(&mut self, at: GuestPhys, granule: Granule) -> Result<MappedPage, Stage2Error> {
        if let Some(leaf) = self.original(at) {
            return Ok(MappedPage::Old(leaf.machine()));
        }
        if granule == Granule::Block
            && self.first.takes_block(at)
            && let Some(page) = self.map_block(at)?
        {
            return Ok(MappedPage::New(page));
        }
        let no_memory = Stage2Error::NoMemory { at };
        let page = heap::alloc_pages(1).ok_or(no_memory)?;
        cache::clean(page..page + PAGE);
        let leaf = Leaf(page | PAGE_DESCRIPTOR | OWNED | attributes(Rights::ALL));
        self.first
            .set_page(at, leaf)
            .map_err(|NoMemory| no_memory)?;
        self.pages += 1;
        Ok(MappedPage::New(page))
    }

    /// Maps a fresh zeroed block around `at`, if there is memory for one, and returns where the page at `at` is.
    fn map_block(&mut self, at: GuestPhys) -> Result<Option<u64>, Stage2Error> {
        let Some(block) = heap::alloc_block() else {
            return Ok(None);
        };
        cache::clean(block..block + BLOCK);
        let leaf = Leaf(block | PAGE_DESCRIPTOR | attributes(Rights::ALL));
        self.first
            .set_block(at, leaf)
            .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
        self.blocks.push(block);
        self.pages += (BLOCK / PAGE) as usize;
        Ok(Some(block + (at.get() & (BLOCK - 1) & !(PAGE - 1))))
    }

    fn unmap(&mut self, at: GuestPhys) -> bool {
        let Some(leaf) = self.original(at).filter(|leaf| leaf.0 & OWNED != 0) else {
            return false;
        };
        // The page has a table of its own in the first view, so that nothing has to be split or made there.
        if self.first.set_page(at, Leaf::NONE).is_err() || self.forget_second(at).is_err() {
            return false;
        }
        self.originals.remove(&page_of(at));
        self.changed.remove(&page_of(at));
        self.pages -= 1;
        // SAFETY: the page came from `alloc_pages(1)` in `map`; its entries are gone and no TLB holds it any more.
        unsafe { heap::free_pages(leaf.machine(), 1) };
        true
    }

    /// Returns what the guest believes to be at `at`.
    fn original(&self, at: GuestPhys) -> Option<Leaf> {
        self.originals
            .get(&page_of(at))
            .copied()
            .or_else(|| self.first.find(at).page())
    }

    fn fill_second(&mut self, at: GuestPhys) -> Result<bool, Stage2Error> {
        let no_memory = |NoMemory| Stage2Error::NoMemory { at };
        if self.second.find(at) != Found::Nothing {
            return Ok(true);
        }
        if let Found::Block { block, .. } = self.first.find(at)
            && self.second.takes_block(at)
        {
            return self.second.set_block(at, block).map_err(no_memory);
        }
        let Some(leaf) = self.original(at) else {
            return Ok(false);
        };
        self.second
            .set_page(at, Leaf(leaf.0 & !OWNED))
            .map_err(no_memory)?;
        Ok(true)
    }

    /// Takes the page at `at` out of the second view, which maps it again when somebody comes along.
    fn forget_second(&mut self, at: GuestPhys) -> Result<(), Stage2Error> {
        if self.second.find(at) != Found::Nothing {
            self.second
                .set_page(at, Leaf::NONE)
                .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
        }
        Ok(())
    }

    fn set_page(
        &mut self,
        view: View,
        at: GuestPhys,
        content: Content,
        rights: Rights,
    ) -> Result<(), Stage2Error> {
        let original = self.original(at).ok_or(Stage2Error::NotMapped { at })?;
        let machine = match content {
            Content::Guest => original.machine(),
            Content::Machine(page) => page,
        };
        let leaf = Leaf(machine | PAGE_DESCRIPTOR | attributes(rights));
        let tree = match view {
            View::First => &mut self.first,
            View::Second => &mut self.second,
        };
        tree.set_page(at, leaf)
            .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
        match view {
            View::First => {
                self.originals.entry(page_of(at)).or_insert(original);
            }
            View::Second => {
                self.changed.insert(page_of(at));
            }
        }
        Ok(())
    }

    fn reset_page(&mut self, view: View, at: GuestPhys) -> Result<(), Stage2Error> {
        match view {
            View::First => {
                if let Some(&original) = self.originals.get(&page_of(at)) {
                    self.first
                        .set_page(at, original)
                        .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
                    self.originals.remove(&page_of(at));
                }
            }
            View::Second => {
                if self.changed.remove(&page_of(at)) {
                    self.forget_second(at)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.first.invalidate_all();
        self.second.invalidate_all();
        let free = |leaf: Leaf| {
            if leaf.0 & OWNED != 0 {
                // SAFETY: the page came from `alloc_pages(1)` in `map`; no CPU has the VM loaded, and no TLB holds it.
                unsafe { heap::free_pages(leaf.machine(), 1) };
            }
        };
        // The first view's entry of a page that differs does not own anything.
        self.first.for_each_page(free);
        self.originals.values().copied().for_each(free);
        for block in self.blocks.drain(..) {
            // SAFETY: as above, for `alloc_block` in `map_block`.
            unsafe { heap::free_block(block) };
        }
    }
}

fn page_of(at: GuestPhys) -> u64 {
    at.get() & !(PAGE - 1)
}

fn attributes(rights: Rights) -> u64 {
    WRITE_BACK | INNER_SHAREABLE | ACCESSED | rights.0
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
