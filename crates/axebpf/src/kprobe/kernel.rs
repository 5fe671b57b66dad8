//! What is known of a guest's kernel, and how it comes to be known.

use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;

use axebpf_guestprobe::{GuestMachine, GuestStage, KernelScan, KernelScanError, Stage1};
use axebpf_platform::GuestPhys;
use axebpf_symbols::{KernelSymbols, Slide};

use super::{
    Guest, GuestError, TaskLayout,
    symbols::{Origin, SymbolOrigin, Symbols},
};

/// The most bytes of type information that are taken from a guest. A kernel of Debian has 6 MiB.
const MAX_TYPES: u64 = 16 << 20;
/// How far before the kernel's own page table the kernel is looked for first, in bytes.
const BEFORE: u64 = 64 << 20;
/// How far behind it.
const BEHIND: u64 = 16 << 20;
/// How often a guest is searched for the sake of links that wait, until somebody attaches or it is started anew.
const MAX_TRIES: u32 = 24;

/// Whether a search that failed is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// In any case.
    Now,
    /// If it is time.
    IfDue {
        /// The time.
        now_ns: u64,
    },
}

/// Returns how long to wait after so many tries have failed, in nanoseconds: from a tenth of a second to 12.8 seconds.
pub(crate) fn pause_ns(tries: u32) -> u64 {
    100_000_000 << tries.saturating_sub(1).min(7)
}

/// Searches that have failed since the guest was started.
#[derive(Default)]
struct Failed {
    tries: u32,
    /// When to search again.
    again_ns: u64,
    why: Option<GuestError>,
}

/// What is known of a guest's kernel.
#[derive(Default)]
pub(super) struct Known {
    /// How often the guest was started anew. What was found before does not count any more.
    pub(super) starts: u64,
    pub(super) symbols: Option<Symbols>,
    types: Types,
    failed: Failed,
}

/// The type information of a kernel.
#[derive(Default)]
enum Types {
    /// Nobody has looked for it since the kernel runs.
    #[default]
    Unknown,
    /// It is not there, or cannot be read.
    Absent(KernelScanError),
    Known {
        btf: Arc<[u8]>,
        tasks: Option<TaskLayout>,
    },
}

impl Guest {
    /// Returns the symbols as far as they are known.
    pub(crate) fn known_symbols(&self) -> Option<Arc<KernelSymbols>> {
        let known = self.known.lock();
        known.symbols.as_ref().map(|known| known.table.clone())
    }

    /// Returns the symbols as far as they are known, and say where the kernel runs.
    pub(crate) fn placed_symbols(&self) -> Option<Arc<KernelSymbols>> {
        let known = self.known.lock();
        let symbols = known.symbols.as_ref();
        let placed = symbols.filter(|symbols| symbols.origin != Origin::Unplaced);
        placed.map(|symbols| symbols.table.clone())
    }

    /// Returns where the symbols come from, as far as they are known.
    pub(crate) fn symbol_origin(&self) -> Option<SymbolOrigin> {
        self.known.lock().symbols.as_ref().map(Symbols::origin)
    }

    /// Returns how the kernel keeps its tasks, as far as that is known.
    pub(crate) fn tasks(&self) -> Option<TaskLayout> {
        match &self.known.lock().types {
            Types::Known { tasks, .. } => *tasks,
            _ => None,
        }
    }

    /// Returns how often the guest was started anew.
    pub(crate) fn starts(&self) -> u64 {
        self.known.lock().starts
    }

    /// Returns the symbols, found in the guest's memory if nobody has asked for them or given them before, and moved to
    /// where its kernel runs, if it does. Takes long.
    pub(super) fn symbols(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        if let Some(known) = self.placed_symbols() {
            return Ok(known);
        }
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        match self.known_symbols() {
            Some(_) if self.symbols_wait() => self.replace_symbols(),
            Some(known) => Ok(known),
            None => self.find_symbols(),
        }
    }

    /// Tells whether there are symbols that could be moved to where the kernel runs.
    fn symbols_wait(&self) -> bool {
        self.placed_symbols().is_none() && self.has_kernel()
    }

    /// Looks for symbols and types whatever is known. Takes long.
    pub(super) fn search(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        self.find_symbols()
    }

    /// Returns the symbols of the kernel that runs and translates addresses with `stage1`. Takes long if they have to
    /// be looked for.
    pub(crate) fn fitting_symbols(
        &self,
        stage1: &Stage1,
        search: Search,
    ) -> Result<Arc<KernelSymbols>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        let known = self.known.lock().symbols.clone();
        let Some(known) = known else {
            return self.if_due(search, Self::find_symbols);
        };
        // What did fit still does. Linux with page table isolation has other tables for a few instructions.
        let misfit = match known.origin {
            Origin::Found => None,
            Origin::Unplaced => return self.if_due(search, Self::replace_symbols),
            _ => known.misfit(&**self.probes.machine(), stage1),
        };
        match (misfit, known.origin) {
            (None, _) => {
                // Symbols that were given say nothing of tasks.
                self.find_types();
                Ok(known.table)
            }
            (Some(at), Origin::Given) => Err(GuestError::Elsewhere { vm: self.vm, at }),
            (Some(_), Origin::Placed) => self.if_due(search, Self::replace_symbols),
            (Some(_), _) => self.if_due(search, Self::find_symbols),
        }
    }

    /// Does `look`, which searches the guest's memory, unless it is too early after the last time.
    fn if_due(
        &self,
        search: Search,
        look: impl Fn(&Self) -> Result<Arc<KernelSymbols>, GuestError>,
    ) -> Result<Arc<KernelSymbols>, GuestError> {
        if let Search::IfDue { now_ns } = search {
            // No kernel is at its place yet, or it is none that can be told from others.
            if self.probes.stage() == GuestStage::Off {
                return Err(GuestError::NoKernel { vm: self.vm });
            }
            let failed = &self.known.lock().failed;
            if let Some(why) = &failed.why
                && (now_ns < failed.again_ns || failed.tries >= MAX_TRIES)
            {
                return Err(why.clone());
            }
        }
        let found = look(self);
        let failed = &mut self.known.lock().failed;
        match (&found, search) {
            (Err(why), Search::IfDue { now_ns }) => {
                failed.tries += 1;
                failed.again_ns = now_ns.saturating_add(pause_ns(failed.tries));
                failed.why = Some(why.clone());
            }
            _ => *failed = Failed::default(),
        }
        found
    }

    /// Returns the type information, found in the guest's memory if nobody has asked for it before. Takes long.
    pub(crate) fn types(&self) -> Result<Arc<[u8]>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        self.find_types();
        match &self.known.lock().types {
            Types::Known { btf, .. } => Ok(btf.clone()),
            Types::Absent(cause) => Err(GuestError::NoTypes {
                vm: self.vm,
                cause: *cause,
            }),
            // The guest has been started anew in the meantime.
            Types::Unknown => Err(GuestError::NoKernel { vm: self.vm }),
        }
    }

    /// Looks for the symbols, then for the types. The caller has the search to itself.
    fn find_symbols(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        let vm = self.vm;
        let starts = self.starts();
        let found = self.scan_symbols()?;
        let table = found.table.clone();
        {
            let mut known = self.known.lock();
            if known.starts != starts {
                return Err(GuestError::NoKernel { vm });
            }
            known.symbols = Some(found);
            known.types = Types::Unknown;
        }
        self.find_types();
        Ok(table)
    }

    /// Looks for the symbols that the kernel has of itself.
    fn scan_symbols(&self) -> Result<Symbols, GuestError> {
        let vm = self.vm;
        let tables = self.scan(|scan| scan.kallsyms());
        let tables = tables.map_err(|cause| GuestError::Scan { vm, cause })?;
        let table = Arc::new(KernelSymbols::from_compressed(tables)?);
        let mut found = Symbols::new(table, Origin::FoundBefore, Slide::ZERO);
        if self.probes.stage1().is_some() {
            self.check_fit(&found)?;
            found.origin = Origin::Found;
        }
        Ok(found)
    }

    /// Returns the symbols that the kernel has of itself, which say where it runs; looks for them if they are not
    /// those that are known.
    pub(super) fn running_symbols(&self) -> Result<Symbols, GuestError> {
        let known = self.known.lock().symbols.clone();
        match known.filter(|known| known.origin == Origin::Found) {
            Some(known) => Ok(known),
            None => self.scan_symbols(),
        }
    }

    /// Looks for the types unless that was done. Without them, programs see the VM and its vCPU instead of the task.
    pub(super) fn find_types(&self) {
        let starts = {
            let known = self.known.lock();
            match known.types {
                Types::Known { .. } => return,
                // What is not there before the kernel runs may come.
                Types::Absent(_) if self.probes.stage1().is_some() => return,
                _ => known.starts,
            }
        };
        let types = match self.scan(copy_types) {
            Ok(btf) => Types::Known {
                tasks: TaskLayout::from_btf(&btf),
                btf: btf.into(),
            },
            Err(cause) => Types::Absent(cause),
        };
        let mut known = self.known.lock();
        if known.starts == starts {
            known.types = types;
        }
    }

    /// Tries `look` around the kernel's page table first, then everywhere.
    fn scan<T>(
        &self,
        look: impl Fn(&KernelScan<'_, dyn GuestMachine>) -> Result<T, KernelScanError>,
    ) -> Result<T, KernelScanError> {
        let memory = &**self.probes.machine();
        let near = self.around_kernel();
        let near = near.and_then(|range| look(&KernelScan::new(memory, range).ok()?).ok());
        match near {
            Some(found) => Ok(found),
            None => look(&KernelScan::new(memory, self.memory.clone())?),
        }
    }

    /// Returns the part of the memory that is around the table of the upper half, which Linux has in its image.
    fn around_kernel(&self) -> Option<Range<GuestPhys>> {
        /// Where `TTBR1_EL1` has an address of up to 48 bits.
        const BASE: u64 = 0xffff_ffff_fffe;
        let table = GuestPhys::new(self.probes.stage1()?.ttbr1 & BASE);
        let start = table.get().saturating_sub(BEFORE);
        let end = table.get().saturating_add(BEHIND);
        self.memory.contains(&table).then(|| {
            GuestPhys::new(start).max(self.memory.start)..GuestPhys::new(end).min(self.memory.end)
        })
    }

    /// Forgets what was found, because the guest is started anew: its kernel may be another one, or elsewhere.
    pub(super) fn forget(&self) {
        let mut known = self.known.lock();
        known.starts += 1;
        known.types = Types::Unknown;
        known.failed = Failed::default();
        match known.symbols.as_mut().map(|symbols| &mut symbols.origin) {
            Some(Origin::Given | Origin::Unplaced) => {}
            Some(origin @ Origin::Placed) => *origin = Origin::Unplaced,
            _ => known.symbols = None,
        }
    }
}

/// Finds and copies type information.
fn copy_types(scan: &KernelScan<'_, dyn GuestMachine>) -> Result<Vec<u8>, KernelScanError> {
    let found = scan.btf()?;
    let len = found.end.get().saturating_sub(found.start.get());
    if len > MAX_TYPES {
        return Err(KernelScanError::BadRange {
            len,
            limit: MAX_TYPES,
        });
    }
    scan.copy(&found)
}
