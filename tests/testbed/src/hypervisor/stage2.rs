//! Stage 2: what a VM takes for physical memory.
//!
//! Each VM has three views of the same memory, each with its own tables, and one number in the TLB. The guest runs in
//! the main one. In each, single pages can be given other rights, or other contents, than the guest believes: that is
//! what probes on a guest are made of. `switch` is about what a CPU has loaded, `tables` about what is in the tables.

mod memory;
mod switch;
mod tables;
mod vmid;

use axebpf::platform::GuestPhys;
use lock_api::MutexGuard;
use memory::Fresh;
use switch::LastRun;
use tables::{Change, Tables, Wanted};

pub(crate) use switch::{unload, with_vmid};
pub(crate) use vmid::{NoVmid, Vmid};

pub(crate) use super::stage2_tree::PAGE;
use super::{
    lock::{Lock, RawLock},
    stage2_tree::{NoMemory, Tree},
};

// Bits of a stage 2 page descriptor that say what the guest may do (ARM ARM D8.3.2).
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const EXECUTE_NEVER: u64 = 1 << 54;

/// How many views there are.
const VIEWS: usize = 3;

/// How often a hit looks whether the tables are free. They are held for moments, but a hit may have interrupted the
/// very code that holds them.
const TRIES_IN_A_HIT: u32 = 1 << 16;

/// The guest-physical address space of one VM.
pub(crate) struct Stage2 {
    vttbr: [u64; VIEWS],
    granule: Granule,
    tables: Lock<Tables>,
    last_run: LastRun,
    /// The last field, because the last to be dropped: when the tables are gone, no TLB has the number any more.
    vmid: Vmid,
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
    /// Somebody else has the tables, and a hit does not wait.
    #[error("the tables that lead to {at} are in use")]
    Busy {
        /// The page.
        at: GuestPhys,
    },
}

impl Stage2 {
    /// Makes an empty address space, which TLBs know as `vmid`.
    pub(crate) fn new(vmid: Vmid, granule: Granule) -> Result<Self, Stage2Error> {
        let tree = || {
            Tree::new(vmid.get()).map_err(|NoMemory| Stage2Error::NoMemory {
                at: GuestPhys::new(0),
            })
        };
        let views = [tree()?, tree()?, tree()?];
        Ok(Self {
            vttbr: [views[0].vttbr(), views[1].vttbr(), views[2].vttbr()],
            granule,
            tables: Lock::new(Tables::new(views)),
            last_run: LastRun::nobody(),
            vmid,
        })
    }

    /// Returns what `VTTBR_EL2` holds while a vCPU runs in `view`.
    fn vttbr(&self, view: View) -> u64 {
        self.vttbr[view.index()]
    }

    /// Returns how many pages are mapped.
    pub(crate) fn pages(&self) -> usize {
        self.tables.lock().pages()
    }

    /// Maps fresh zeroed memory at `at` unless there is some, and returns where the page is.
    ///
    /// The memory is found, zeroed and cleaned before the tables are locked: others wait for them, hits among them.
    ///
    /// # Errors
    ///
    /// When there is no memory left.
    pub(crate) fn map(&self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        let mut granule = self.granule;
        loop {
            // Not in the condition, where the tables would stay locked.
            let wanted = self.tables.lock().wanted(at, granule);
            let fresh = match wanted {
                Wanted::Nothing(page) => return Ok(MappedPage::Old(page)),
                Wanted::Page => Fresh::page().ok_or(Stage2Error::NoMemory { at })?,
                Wanted::Block => match Fresh::block() {
                    Some(block) => block,
                    None => {
                        granule = Granule::Page;
                        continue;
                    }
                },
            };
            // Another vCPU may have been here in the meantime; what it left no room for is dropped, and freed.
            if let Some(page) = self.tables.lock().map(at, fresh)? {
                return Ok(MappedPage::New(page));
            }
        }
    }

    /// Unmaps the page at `at` and frees it. Tells whether there was one that was allocated alone and that no view
    /// shows otherwise than it is: what probes have changed stays until they are done with it.
    pub(crate) fn unmap(&self, at: GuestPhys) -> bool {
        self.tables.lock().unmap(at)
    }

    /// Calls `work` with the address, in the machine's memory, of the guest's own page at `at`, which stays for as
    /// long.
    ///
    /// # Errors
    ///
    /// When the guest has no memory there; in a hit also if the tables stay locked.
    pub(crate) fn with_page<T>(
        &self,
        at: GuestPhys,
        work: impl FnOnce(u64) -> T,
    ) -> Result<T, Stage2Error> {
        let tables = self.tables_of(at)?;
        let leaf = tables.original(at);
        if leaf.is_valid() {
            Ok(work(leaf.machine()))
        } else {
            Err(Stage2Error::NotMapped { at })
        }
    }

    /// Locks the tables to find the page at `at`.
    fn tables_of(&self, at: GuestPhys) -> Result<MutexGuard<'_, RawLock, Tables>, Stage2Error> {
        if let Some(tables) = self.tables.try_lock() {
            return Ok(tables);
        }
        if !axebpf::hit::in_hit() {
            return Ok(self.tables.lock());
        }
        (0..TRIES_IN_A_HIT)
            .find_map(|_| self.tables.try_lock())
            .ok_or(Stage2Error::Busy { at })
    }

    /// Gives the page at `at` these `rights` and this `content` in `view`, in all TLBs, until
    /// [`reset_page`](Self::reset_page).
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
