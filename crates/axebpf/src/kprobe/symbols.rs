//! The symbols of a guest's kernel, and where they come from.

use alloc::{sync::Arc, vec::Vec};

use axebpf_guestprobe::{Access, GuestMemory, Stage1};
use axebpf_platform::GuestVirt;
use axebpf_symbols::{KernelSymbols, Slide};

/// How many functions are looked at to see whether symbols fit a kernel.
const SAMPLES: usize = 16;

/// Where the symbols of a guest's kernel come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymbolOrigin {
    /// They were found in the guest's memory.
    Memory,
    /// They were given as a file.
    File {
        /// By how far the kernel runs from where the file says, as somebody has said or as was found out; `None` as
        /// long as the kernel does not run.
        slide: Option<Slide>,
    },
}

/// Where symbols come from, and how far they can be trusted to fit the kernel that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They were found in the guest's memory, and fit the kernel that runs.
    Found,
    /// They were found in the guest's memory while no kernel ran.
    FoundBefore,
    /// Somebody has given them, and said by how far to move them. They stay when the guest is started anew.
    Given,
    /// Somebody has given them, and they were moved to where the kernel runs.
    Placed,
    /// Somebody has given them, and where the kernel runs is not known.
    Unplaced,
}

/// The symbols of a kernel, and where they come from.
#[derive(Clone)]
pub(super) struct Symbols {
    pub(super) table: Arc<KernelSymbols>,
    pub(super) origin: Origin,
    /// By how far the table was moved from where a file has the symbols.
    pub(super) slide: Slide,
    /// Some functions, for seeing whether the symbols fit.
    samples: Arc<[GuestVirt]>,
}

impl Symbols {
    pub(super) fn new(table: Arc<KernelSymbols>, origin: Origin, slide: Slide) -> Self {
        let places = (0..4 * SAMPLES).map(|number| number * table.len() / (4 * SAMPLES));
        let mut samples: Vec<GuestVirt> = places
            .filter_map(|index| table.get(index))
            .filter(|symbol| symbol.is_code() && symbol.module().is_none())
            .map(|symbol| GuestVirt::new(symbol.address()))
            .collect();
        samples.dedup();
        let step = samples.len().div_ceil(SAMPLES).max(1);
        Self {
            table,
            origin,
            slide,
            samples: samples.into_iter().step_by(step).collect(),
        }
    }

    /// Returns a function that is not where the guest executes anything, if that is so for most of those looked at: the
    /// code of initialisation is gone once a kernel is up, and no address is right before it has relocated itself.
    pub(super) fn misfit(&self, memory: &dyn GuestMemory, stage1: &Stage1) -> Option<GuestVirt> {
        let is_text = |at: GuestVirt| {
            let found = stage1.translate(memory, at, Access::Fetch);
            found.is_ok_and(|found| found.rights.privileged_execute())
        };
        let mut wrong = self.samples.iter().filter(|at| !is_text(**at));
        let first = *wrong.next()?;
        (2 * (1 + wrong.count()) > self.samples.len()).then_some(first)
    }

    /// Says to others where the symbols come from.
    pub(super) fn origin(&self) -> SymbolOrigin {
        match self.origin {
            Origin::Found | Origin::FoundBefore => SymbolOrigin::Memory,
            Origin::Given | Origin::Placed => SymbolOrigin::File {
                slide: Some(self.slide),
            },
            Origin::Unplaced => SymbolOrigin::File { slide: None },
        }
    }
}
