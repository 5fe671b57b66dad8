//! Memory for a guest, before it is mapped.

use super::Granule;
use crate::hypervisor::{
    cache, heap,
    stage2_tree::{BLOCK, PAGE},
};

/// Zeroed memory that nobody uses yet. It is freed if nobody [keeps](Self::keep) it.
#[derive(Debug)]
pub(super) struct Fresh {
    address: u64,
    granule: Granule,
}

impl Fresh {
    /// Allocates a page, if there is memory for one.
    pub(super) fn page() -> Option<Self> {
        let address = heap::alloc_pages(1)?;
        cache::clean(address..address + PAGE);
        Some(Self {
            address,
            granule: Granule::Page,
        })
    }

    /// Allocates a block, if there is memory for one.
    pub(super) fn block() -> Option<Self> {
        let address = heap::alloc_block()?;
        cache::clean(address..address + BLOCK);
        Some(Self {
            address,
            granule: Granule::Block,
        })
    }

    /// Returns where it is in the machine's memory.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Returns whether it is a page or a block.
    pub(super) fn granule(&self) -> Granule {
        self.granule
    }

    /// Returns where it is, and leaves it to the caller to free it.
    pub(super) fn keep(self) -> u64 {
        let address = self.address;
        core::mem::forget(self);
        address
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        match self.granule {
            // SAFETY: the page came from `alloc_pages(1)`, and nobody has kept it.
            Granule::Page => unsafe { heap::free_pages(self.address, 1) },
            // SAFETY: the block came from `alloc_block`, and nobody has kept it.
            Granule::Block => unsafe { heap::free_block(self.address) },
        }
    }
}
