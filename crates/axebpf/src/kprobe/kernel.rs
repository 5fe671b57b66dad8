//! What is known of a guest's kernel, and how it comes to be known.

use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;

use axebpf_guestprobe::{
    Access, GuestMachine, GuestMemory, GuestStage, KernelScan, KernelScanError, Stage1,
};
use axebpf_platform::{GuestPhys, GuestVirt};
use axebpf_symbols::KernelSymbols;

use super::{Guest, GuestError, TaskLayout};

/// The most bytes of type information that are taken from a guest. A kernel of Debian has 6 MiB.
const MAX_TYPES: u64 = 16 << 20;
/// How far before the kernel's own page table the kernel is looked for first, in bytes.
const BEFORE: u64 = 64 << 20;
/// How far behind it.
const BEHIND: u64 = 16 << 20;
/// How many functions are looked at to see whether symbols fit a kernel.
const SAMPLES: usize = 16;

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
    starts: u64,
    symbols: Option<Symbols>,
    types: Types,
    failed: Failed,
}

/// The symbols of a kernel, and where they come from.
#[derive(Clone)]
struct Symbols {
    table: Arc<KernelSymbols>,
    origin: Origin,
    /// Some functions, for seeing whether the symbols fit.
    samples: Arc<[GuestVirt]>,
}

/// Where symbols come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// They were found in the guest's memory, and fit the kernel that runs.
    Found,
    /// They were found in the guest's memory while no kernel ran.
    FoundBefore,
    /// Somebody has given them. They stay when the guest is started anew.
    Given,
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

impl Symbols {
    fn new(table: KernelSymbols, origin: Origin) -> Self {
        let places = (0..4 * SAMPLES).map(|number| number * table.len() / (4 * SAMPLES));
        let mut samples: Vec<GuestVirt> = places
            .filter_map(|index| table.get(index))
            .filter(|symbol| symbol.is_code() && symbol.module().is_none())
            .map(|symbol| GuestVirt::new(symbol.address()))
            .collect();
        samples.dedup();
        let step = samples.len().div_ceil(SAMPLES).max(1);
        Self {
            table: Arc::new(table),
            origin,
            samples: samples.into_iter().step_by(step).collect(),
        }
    }

    /// Returns a function that is not where the guest executes anything, if that is so for most of those looked at: the
    /// code of initialisation is gone once a kernel is up, and no address is right before it has relocated itself.
    fn misfit(&self, memory: &dyn GuestMemory, stage1: &Stage1) -> Option<GuestVirt> {
        let is_text = |at: GuestVirt| {
            let found = stage1.translate(memory, at, Access::Fetch);
            found.is_ok_and(|found| found.rights.privileged_execute())
        };
        let mut wrong = self.samples.iter().filter(|at| !is_text(**at));
        let first = *wrong.next()?;
        (2 * (1 + wrong.count()) > self.samples.len()).then_some(first)
    }
}

impl Guest {
    /// Returns the symbols as far as they are known.
    pub(crate) fn known_symbols(&self) -> Option<Arc<KernelSymbols>> {
        let known = self.known.lock();
        known.symbols.as_ref().map(|known| known.table.clone())
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

    /// Returns the symbols, found in the guest's memory if nobody has asked for them or given them before. Takes long.
    pub(super) fn symbols(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        if let Some(known) = self.known_symbols() {
            return Ok(known);
        }
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        match self.known_symbols() {
            Some(known) => Ok(known),
            None => self.find_symbols(),
        }
    }

    /// Looks for symbols and types whatever is known. Takes long.
    pub(super) fn search(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        self.find_symbols()
    }

    /// Returns the symbols of the kernel that runs and translates addresses with `stage1`. Takes long if they have to be
    /// looked for.
    pub(crate) fn fitting_symbols(
        &self,
        stage1: &Stage1,
        search: Search,
    ) -> Result<Arc<KernelSymbols>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        let known = self.known.lock().symbols.clone();
        let Some(known) = known else {
            return self.search_if_due(search);
        };
        // What did fit still does. Linux with page table isolation has other tables for a few instructions.
        let misfit = match known.origin {
            Origin::Found => None,
            _ => known.misfit(&**self.probes.machine(), stage1),
        };
        match misfit {
            None => {
                // Symbols that were given say nothing of tasks.
                self.find_types();
                Ok(known.table)
            }
            Some(at) if known.origin == Origin::Given => {
                Err(GuestError::Elsewhere { vm: self.vm, at })
            }
            Some(_) => self.search_if_due(search),
        }
    }

    /// Looks for the symbols unless it is too early after the last time.
    fn search_if_due(&self, search: Search) -> Result<Arc<KernelSymbols>, GuestError> {
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
        let found = self.find_symbols();
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
        let tables = self.scan(|scan| scan.kallsyms());
        let tables = tables.map_err(|cause| GuestError::Scan { vm, cause })?;
        let mut found = Symbols::new(KernelSymbols::from_compressed(tables)?, Origin::FoundBefore);
        if let Some(stage1) = self.probes.stage1() {
            if let Some(at) = found.misfit(&**self.probes.machine(), &stage1) {
                return Err(GuestError::Elsewhere { vm, at });
            }
            found.origin = Origin::Found;
        }
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

    /// Looks for the types unless that was done. Without them, programs see the VM and its vCPU instead of the task.
    fn find_types(&self) {
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

    /// Takes symbols that somebody gives.
    pub(super) fn take_symbols(&self, table: KernelSymbols) -> Arc<KernelSymbols> {
        let given = Symbols::new(table, Origin::Given);
        let table = given.table.clone();
        self.known.lock().symbols = Some(given);
        table
    }

    /// Forgets what was found, because the guest is started anew: its kernel may be another one, or elsewhere.
    pub(super) fn forget(&self) {
        let mut known = self.known.lock();
        known.starts += 1;
        known.types = Types::Unknown;
        known.failed = Failed::default();
        known
            .symbols
            .take_if(|symbols| symbols.origin != Origin::Given);
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
