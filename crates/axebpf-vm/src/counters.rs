//! What is counted about a program.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::{HitGuard, Padded};

use crate::run_error::RunError;

/// What happened to the runs of a program so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramStats {
    /// Runs that were started.
    pub runs: u64,
    /// Runs that used up the budget.
    pub budget_aborts: u64,
    /// Runs that accessed memory that is not the program's, or unaligned by an atomic operation.
    pub memory_aborts: u64,
    /// Runs that gave a helper something that is no map or no record.
    pub helper_aborts: u64,
    /// Runs that ended early for another reason.
    pub other_aborts: u64,
    /// Helper calls that returned an error.
    pub helper_errors: u64,
    /// Ring-buffer records that were reserved and neither submitted nor discarded.
    pub abandoned_records: u64,
}

impl ProgramStats {
    /// Returns the number of runs that ended early, for whatever reason.
    #[must_use]
    pub const fn aborts(&self) -> u64 {
        self.budget_aborts + self.memory_aborts + self.helper_aborts + self.other_aborts
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    /// The runs of each CPU, which counts its own only, so that counting is no atomic operation.
    runs: Box<[Padded<AtomicU64>]>,
    /// The runs of CPUs that the platform did not have when the program was made.
    other_runs: AtomicU64,
    budget_aborts: AtomicU64,
    memory_aborts: AtomicU64,
    helper_aborts: AtomicU64,
    other_aborts: AtomicU64,
    helper_errors: AtomicU64,
    abandoned_records: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let cpus = axebpf_hit::platform().map_or(0, |platform| platform.cpu_limit());
        let zero = AtomicU64::default;
        Self {
            runs: (0..cpus).map(|_| Padded::new(zero())).collect(),
            other_runs: zero(),
            budget_aborts: zero(),
            memory_aborts: zero(),
            helper_aborts: zero(),
            other_aborts: zero(),
            helper_errors: zero(),
            abandoned_records: zero(),
        }
    }
}

impl Counters {
    pub(crate) fn count_run(&self, guard: &HitGuard) {
        match self.runs.get(guard.cpu().get() as usize) {
            // Nobody else writes this number: the guard is that of the only hit on its CPU.
            Some(runs) => runs.store(runs.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            None => {
                self.other_runs.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn count_abort(&self, error: &RunError) {
        let counter = match error {
            RunError::Budget { .. } => &self.budget_aborts,
            RunError::OutOfBounds { .. } | RunError::Misaligned { .. } => &self.memory_aborts,
            RunError::NotAMap { .. } | RunError::NotARecord { .. } => &self.helper_aborts,
            _ => &self.other_aborts,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_helper_errors(&self, errors: u32) {
        if errors != 0 {
            self.helper_errors
                .fetch_add(errors.into(), Ordering::Relaxed);
        }
    }

    pub(crate) fn count_abandoned(&self, records: u32) {
        if records != 0 {
            self.abandoned_records
                .fetch_add(records.into(), Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> ProgramStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgramStats {
            runs: read(&self.other_runs) + self.runs.iter().map(|runs| read(runs)).sum::<u64>(),
            budget_aborts: read(&self.budget_aborts),
            memory_aborts: read(&self.memory_aborts),
            helper_aborts: read(&self.helper_aborts),
            other_aborts: read(&self.other_aborts),
            helper_errors: read(&self.helper_errors),
            abandoned_records: read(&self.abandoned_records),
        }
    }
}
