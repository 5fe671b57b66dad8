//! The tables of a VM's memory in all views, and what the guest believes them to be.

use alloc::{collections::BTreeMap, vec::Vec};

use axebpf::platform::GuestPhys;

use super::{Content, Granule, MappedPage, Rights, Stage2Error, VIEWS, View};
use crate::hypervisor::{
    cache, heap,
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

    pub(super) fn map(
        &mut self,
        at: GuestPhys,
        granule: Granule,
    ) -> Result<MappedPage, Stage2Error> {
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

    pub(super) fn unmap(&mut self, at: GuestPhys) -> bool {
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
    pub(super) fn original(&self, at: GuestPhys) -> Leaf {
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
