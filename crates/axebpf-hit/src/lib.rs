//! Being in a hit: the per-CPU guard, snapshot cells, quiescence and fenced text writes.
#![no_std]

extern crate alloc;

mod environment;
mod error;
mod guard;
mod per_cpu;
mod quiesce;
mod snapshot;
mod sync;
pub mod text;

pub use environment::{install, platform};
pub use error::{FenceError, HitError, Missed};
pub use guard::{HitGuard, enter, in_hit};
pub use per_cpu::{Padded, PerCpu};
pub use quiesce::quiesce;
pub use snapshot::{Retired, Snapshot};

/// The highest number of CPUs that a machine may have: CPU numbers are below it.
///
/// [`install`] refuses a platform with more.
pub const MAX_CPUS: usize = if cfg!(loom) { 3 } else { 64 };
