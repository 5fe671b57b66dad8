//! Stage 2: what a VM takes for physical memory.
//!
//! Each VM has three views of the same memory, each with its own tables and its own number in the TLB. The guest runs in the
//! main one. In each, single pages can be given other rights, or other contents, than the guest believes: that is what
//! probes on a guest are made of.

use alloc::{collections::BTreeMap, vec::Vec};

use axebpf::platform::GuestPhys;

pub(crate) use super::stage2_tree::PAGE;
use super::{
    cache, heap,
    lock::Lock,
    stage2_tree::{BLOCK, Leaf, NoMemory, Tree},
};

// Bits of a stage 2 page descriptor (ARM ARM D8.3.2): Normal write-back memory, inner shareable, accessed.
const PAGE_DESCRIPTOR: u64 = 3;
const WRITE_BACK: u64 = 0xf << 2;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
/// A bit for software: the page was allocated for this entry alone.
const OWNED: u64 = 1 << 55;

/// How many views there are.
const VIEWS: usize = 3;

/// The guest-physical address space of one VM.
pub(crate) struct Stage2 {
    vttbr: [u64; VIEWS],
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

/// One of the views of a VM's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum View {
    /// The one in which the guest runs.
    #[default]
    Main = 0,
    /// The one in which the text is what the guest believes.
    Original = 1,
    /// The one in which no page is executable unless somebody made it so.
    Window = 2,
}

impl View {
    const ALL: [Self; VIEWS] = [Self::Main, Self::Original, Self::Window];

    fn index(self) -> usize {
        self as usize
    }

    /// Returns the view of this number, which is the main one for numbers that no view has.
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Original,
            2 => Self::Window,
            _ => Self::Main,
        }
    }
}

/// What the guest may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u64);

impl Rights {
    /// Read, write and execute.
    pub(crate) const ALL: Self = Self(READ | WRITE);
    /// Read and write.
    pub(crate) const READ_WRITE: Self = Self(READ | WRITE | EXECUTE_NEVER);
    /// Read and execute.
    pub(crate) const READ_EXECUTE: Self = Self(READ);
    /// Execute.
    pub(crate) const EXECUTE: Self = Self(0);
    /// Nothing.
    pub(crate) const NONE: Self = Self(EXECUTE_NEVER);
}

/// What a page shows instead of what the guest believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The guest's own page.
    Guest,
    /// The page at this address of the machine's memory, which stays allocated for as long as it is shown.
    Machine(u64),
}

/// How a page differs in one view from what the guest believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    content: Content,
    rights: Rights,
}

/// A page that differs in some view, or once did: it keeps its entries, so that the next change needs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touched {
    /// What the guest believes.
    original: Leaf,
    changes: [Option<Change>; VIEWS],
}

/// The tables of an address space. They own the memory that they map.
struct Tables {
    views: [Tree; VIEWS],
    /// The blocks that were allocated.
    blocks: Vec<u64>,
    touched: BTreeMap<u64, Touched>,
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
        // TLB tags have 8 bits, and 0 is for no VM. Two VMs would share one only with 83 others between them.
        let tag = (number % 84) as u16 * 3 + 1;
        let tree = |view: View| {
            Tree::new(tag + view as u16).map_err(|NoMemory| Stage2Error::NoMemory {
                at: GuestPhys::new(0),
            })
        };
        let views = [
            tree(View::Main)?,
            tree(View::Original)?,
            tree(View::Window)?,
        ];
        Ok(Self {
            vttbr: [views[0].vttbr(), views[1].vttbr(), views[2].vttbr()],
            granule,
            tables: Lock::new(Tables {
                views,
                blocks: Vec::new(),
                touched: BTreeMap::new(),
                pages: 0,
            }),
        })
    }

    /// Returns what `VTTBR_EL2` holds while a vCPU runs in `view`.
    pub(crate) fn vttbr(&self, view: View) -> u64 {
        self.vttbr[view.index()]
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

    /// Calls `work` with the address, in the machine's memory, of the guest's own page at `at`, which stays for as long.
    ///
    /// # Errors
    ///
    /// When the guest has no memory there.
    pub(crate) fn with_page<T>(
        &self,
        at: GuestPhys,
        work: impl FnOnce(u64) -> T,
    ) -> Result<T, Stage2Error> {
        let tables = self.tables.lock();
        let leaf = tables.original(at);
        if leaf.is_valid() {
            Ok(work(leaf.machine()))
        } else {
            Err(Stage2Error::NotMapped { at })
        }
    }

    /// Gives the page at `at` these `rights` and this `content` in `view`, in all TLBs, until [`reset_page`](Self::reset_page).
    ///
    /// Needs no memory if the page was changed before, in any view.
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
        let change = Some(Change { content, rights });
        self.tables.lock().change(view, at, change)
    }

    /// Makes the page at `at` in `view` what the guest believes it to be, in all TLBs.
    ///
    /// # Errors
    ///
    /// When there is no memory left for a table.
    pub(crate) fn reset_page(&self, view: View, at: GuestPhys) -> Result<(), Stage2Error> {
        self.tables.lock().change(view, at, None)
    }
}

impl Tables {
    fn map(&mut self, at: GuestPhys, granule: Granule) -> Result<MappedPage, Stage2Error> {
        let old = self.original(at);
        if old.is_valid() {
            return Ok(MappedPage::Old(old.machine()));
        }
        if granule == Granule::Block
            && self.views.iter().all(|view| view.takes_block(at))
            && let Some(page) = self.map_block(at)?
        {
            return Ok(MappedPage::New(page));
        }
        let page = heap::alloc_pages(1).ok_or(Stage2Error::NoMemory { at })?;
        cache::clean(page..page + PAGE);
        self.install(at, leaf(page, Rights::ALL, OWNED))?;
        self.pages += 1;
        Ok(MappedPage::New(page))
    }

    /// Maps a fresh zeroed block around `at`, if there is memory for one, and returns where the page at `at` is.
    fn map_block(&mut self, at: GuestPhys) -> Result<Option<u64>, Stage2Error> {
        let Some(block) = heap::alloc_block() else {
            return Ok(None);
        };
        cache::clean(block..block + BLOCK);
        self.blocks.push(block);
        for view in View::ALL {
            let rights = untouched_rights(view);
            self.views[view.index()]
                .set_block(at, leaf(block, rights, 0))
                .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
        }
        self.pages += (BLOCK / PAGE) as usize;
        Ok(Some(block + (at.get() & (BLOCK - 1) & !(PAGE - 1))))
    }

    fn unmap(&mut self, at: GuestPhys) -> bool {
        let leaf = self.original(at);
        if leaf.0 & OWNED == 0 || self.install(at, Leaf::NONE).is_err() {
            return false;
        }
        self.pages -= 1;
        // SAFETY: the page came from `alloc_pages(1)` in `map`; its entries are gone and no TLB holds it any more.
        unsafe { heap::free_pages(leaf.machine(), 1) };
        true
    }

    /// Returns what the guest believes to be at `at`.
    fn original(&self, at: GuestPhys) -> Leaf {
        match self.touched.get(&page_of(at)) {
            Some(touched) => touched.original,
            None => self.views[View::Main.index()].find(at),
        }
    }

    /// Makes `original` what the guest believes to be at `at`, and what follows from that in all views.
    fn install(&mut self, at: GuestPhys, original: Leaf) -> Result<(), Stage2Error> {
        if let Some(touched) = self.touched.get_mut(&page_of(at)) {
            touched.original = original;
        }
        View::ALL
            .into_iter()
            .try_for_each(|view| self.show(view, at, original))
    }

    /// Brings the entry of the page at `at` in `view` in line with what the guest believes and with what was changed.
    fn show(&mut self, view: View, at: GuestPhys, original: Leaf) -> Result<(), Stage2Error> {
        let touched = self.touched.get(&page_of(at));
        let change = touched.and_then(|touched| touched.changes[view.index()]);
        // Only the main view's entry of a page that was never touched says who owns the page.
        let owned = match (view, touched) {
            (View::Main, None) => original.0 & OWNED,
            _ => 0,
        };
        let shown = match change {
            _ if !original.is_valid() => Leaf::NONE,
            None => leaf(original.machine(), untouched_rights(view), owned),
            Some(change) => {
                let machine = match change.content {
                    Content::Guest => original.machine(),
                    Content::Machine(page) => page,
                };
                leaf(machine, change.rights, 0)
            }
        };
        self.views[view.index()]
            .set_page(at, shown)
            .map_err(|NoMemory| Stage2Error::NoMemory { at })
    }

    fn change(
        &mut self,
        view: View,
        at: GuestPhys,
        change: Option<Change>,
    ) -> Result<(), Stage2Error> {
        let original = self.original(at);
        let page = page_of(at);
        if !self.touched.contains_key(&page) {
            if change.is_none() {
                return Ok(());
            }
            if !original.is_valid() {
                return Err(Stage2Error::NotMapped { at });
            }
            for tree in &mut self.views {
                tree.prepare(at)
                    .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
            }
            let changes = [None; VIEWS];
            self.touched.insert(page, Touched { original, changes });
        }
        if let Some(touched) = self.touched.get_mut(&page) {
            touched.changes[view.index()] = change;
        }
        self.show(view, at, original)
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // No CPU has the VM loaded any more.
        for view in &self.views {
            view.invalidate_all();
        }
        let free = |leaf: Leaf| {
            if leaf.0 & OWNED != 0 {
                // SAFETY: the page came from `alloc_pages(1)` in `map`, and neither a CPU nor a TLB knows it any more.
                unsafe { heap::free_pages(leaf.machine(), 1) };
            }
        };
        let touched = core::mem::take(&mut self.touched);
        self.views[View::Main.index()].for_each_page(|at, leaf| {
            if !touched.contains_key(&at) {
                free(leaf);
            }
        });
        touched.values().for_each(|touched| free(touched.original));
        for block in self.blocks.drain(..) {
            // SAFETY: as above, for `alloc_block` in `map_block`.
            unsafe { heap::free_block(block) };
        }
    }
}

fn page_of(at: GuestPhys) -> u64 {
    at.get() & !(PAGE - 1)
}

/// Returns what the guest may do with pages of `view` that nobody has changed.
fn untouched_rights(view: View) -> Rights {
    match view {
        View::Main | View::Original => Rights::ALL,
        View::Window => Rights::READ_WRITE,
    }
}

fn leaf(machine: u64, rights: Rights, owned: u64) -> Leaf {
    let attributes = WRITE_BACK | INNER_SHAREABLE | ACCESSED;
    Leaf(machine | PAGE_DESCRIPTOR | attributes | rights.0 | owned)
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
