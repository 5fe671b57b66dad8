//! The tables of a VM's memory in all views, and what the guest believes them to be.

use alloc::{collections::BTreeMap, vec::Vec};

use axebpf::platform::GuestPhys;

use super::{Content, Granule, Rights, Stage2Error, VIEWS, View, memory::Fresh};
use crate::hypervisor::{
    heap,
    stage2_tree::{BLOCK, Leaf, NoMemory, PAGE, Tree},
};

// Bits of a stage 2 page descriptor (ARM ARM D8.3.2): Normal write-back memory, inner shareable, accessed.
const PAGE_DESCRIPTOR: u64 = 3;
const WRITE_BACK: u64 = 0xf << 2;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
/// A bit for software: the page was allocated for this entry alone.
const OWNED: u64 = 1 << 55;

/// How a page differs in one view from what the guest believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) content: Content,
    pub(super) rights: Rights,
}

/// What it takes to have memory at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// There is some, in the page at this address of the machine's memory.
    Nothing(u64),
    /// A fresh page.
    Page,
    /// A fresh block.
    Block,
}

/// A page that differs in some view, or once did: it keeps its entries, so that the next change needs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touched {
    /// What the guest believes.
    original: Leaf,
    changes: [Option<Change>; VIEWS],
}

/// The tables of an address space. They own the memory that they map.
pub(super) struct Tables {
    views: [Tree; VIEWS],
    /// The blocks that were allocated.
    blocks: Vec<u64>,
    touched: BTreeMap<u64, Touched>,
    pages: usize,
}

impl Tables {
    /// Makes tables that map nothing.
    pub(super) fn new(views: [Tree; VIEWS]) -> Self {
        Self {
            views,
            blocks: Vec::new(),
            touched: BTreeMap::new(),
            pages: 0,
        }
    }

    /// Returns how many pages are mapped.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// Returns what it takes to have memory at `at`.
    pub(super) fn wanted(&self, at: GuestPhys, granule: Granule) -> Wanted {
        let old = self.original(at);
        if old.is_valid() {
            Wanted::Nothing(old.machine())
        } else if granule == Granule::Block && self.views.iter().all(|view| view.takes_block(at)) {
            Wanted::Block
        } else {
            Wanted::Page
        }
    }

    /// Maps `fresh` memory at `at`, and returns where the page there is, or nothing if there is no room for it any
    /// more.
    ///
    /// # Errors
    ///
    /// When there is no memory left for a table. Nothing is mapped then.
    pub(super) fn map(&mut self, at: GuestPhys, fresh: Fresh) -> Result<Option<u64>, Stage2Error> {
        let result = match (self.wanted(at, fresh.granule()), fresh.granule()) {
            (Wanted::Block, Granule::Block) => self.map_block(at, fresh),
            (Wanted::Page | Wanted::Block, Granule::Page) => self.map_page(at, fresh),
            _ => return Ok(None),
        };
        result
            .map(Some)
            .map_err(|NoMemory| Stage2Error::NoMemory { at })
    }

    fn map_page(&mut self, at: GuestPhys, fresh: Fresh) -> Result<u64, NoMemory> {
        self.install(at, leaf(fresh.address(), Rights::ALL, OWNED))?;
        self.pages += 1;
        Ok(fresh.keep())
    }

    fn map_block(&mut self, at: GuestPhys, fresh: Fresh) -> Result<u64, NoMemory> {
        self.blocks.try_reserve(1).map_err(|_| NoMemory)?;
        // Whatever needs memory comes first, so that the block is mapped in all views or in none.
        self.views
            .iter_mut()
            .try_for_each(|tree| tree.prepare_block(at))?;
        for view in View::ALL {
            let entry = leaf(fresh.address(), untouched_rights(view), 0);
            self.views[view.index()].set_block(at, entry)?;
        }
        let block = fresh.keep();
        self.blocks.push(block);
        self.pages += (BLOCK / PAGE) as usize;
        Ok(block + (at.get() & (BLOCK - 1) & !(PAGE - 1)))
    }

    pub(super) fn unmap(&mut self, at: GuestPhys) -> bool {
        let leaf = self.original(at);
        if leaf.0 & OWNED == 0 || self.is_changed(at) || self.install(at, Leaf::NONE).is_err() {
            return false;
        }
        self.pages -= 1;
        // SAFETY: the page came from `Fresh::page` in `map`; its entries are gone and no TLB holds it any more.
        unsafe { heap::free_pages(leaf.machine(), 1) };
        true
    }

    /// Tells whether some view shows the page at `at` otherwise than the guest believes it to be.
    fn is_changed(&self, at: GuestPhys) -> bool {
        let touched = self.touched.get(&page_of(at));
        touched.is_some_and(|touched| touched.changes.iter().any(Option::is_some))
    }

    /// Returns what the guest believes to be at `at`.
    pub(super) fn original(&self, at: GuestPhys) -> Leaf {
        match self.touched.get(&page_of(at)) {
            Some(touched) => touched.original,
            None => self.views[View::Main.index()].find(at),
        }
    }

    /// Makes `original` what the guest believes to be at `at`, and what follows from that in all views, or nothing if
    /// there is no memory left.
    fn install(&mut self, at: GuestPhys, original: Leaf) -> Result<(), NoMemory> {
        self.prepare(at)?;
        if let Some(touched) = self.touched.get_mut(&page_of(at)) {
            touched.original = original;
        }
        View::ALL
            .into_iter()
            .try_for_each(|view| self.show(view, at, original))
    }

    /// Gives the page at `at` an entry of its own in all views.
    fn prepare(&mut self, at: GuestPhys) -> Result<(), NoMemory> {
        self.views.iter_mut().try_for_each(|tree| tree.prepare(at))
    }

    /// Brings the entry of the page at `at` in `view` in line with what the guest believes and with what was changed.
    fn show(&mut self, view: View, at: GuestPhys, original: Leaf) -> Result<(), NoMemory> {
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
        self.views[view.index()].set_page(at, shown)
    }

    pub(super) fn change(
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
            self.prepare(at)
                .map_err(|NoMemory| Stage2Error::NoMemory { at })?;
            let changes = [None; VIEWS];
            self.touched.insert(page, Touched { original, changes });
        }
        if let Some(touched) = self.touched.get_mut(&page) {
            touched.changes[view.index()] = change;
        }
        self.show(view, at, original)
            .map_err(|NoMemory| Stage2Error::NoMemory { at })
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // No CPU has the VM loaded any more. All views have one number.
        self.views[View::Main.index()].invalidate_all();
        let free = |leaf: Leaf| {
            if leaf.0 & OWNED != 0 {
                // SAFETY: the page came from `Fresh::page` in `map`, and neither a CPU nor a TLB knows it any more.
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
            // SAFETY: as above, for `Fresh::block` in `map_block`.
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
