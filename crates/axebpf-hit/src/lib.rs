//! Being in a hit: the per-CPU guard, snapshot cells, quiescence and fenced text writes.
//!
//! A *hit* is one firing of a probe point. It can come anywhere: in the middle of the memory allocator, inside of a critical
//! section, with interrupts masked. This crate owns what all kinds of probes share because of that. The environment is one
//! for each image, since probe points are code and code is global; [`install`] sets its platform before anything
//! can fire.
//!
//! - [`enter`] masks interrupts and makes the *sequence word* of the CPU odd. While it is odd, a further [`enter`] on the
//!   CPU is [`Missed::Nested`], so hits neither recurse nor deadlock on what an outer hit holds. The [`HitGuard`] is proof of
//!   being in a hit, and dropping it makes the word even again.
//! - A [`Snapshot`] is the cell from which hits read their handlers without a lock. Who fires inside a hit reads it as a
//!   [`NestedHit`].
//! - [`quiesce`] waits until each CPU whose word is odd has changed it. What was unpublished before is then unreachable and
//!   may be freed, which [`Retired::reclaim`] does. Hits themselves never free anything.
//! - [`PerCpu`] gives each hit a value that no other CPU uses.
//! - [`text`] writes hypervisor text while no CPU executes it.
//!
//! # Rules for the hypervisor
//!
//! A lock that a hit can want is taken elsewhere only after [`enter`], so that a probe inside the critical section is
//! counted as missed. Functions that the traps, this crate and the platform's own methods consist of are never probed:
//! a probe in one of them would fire again before it could be recognised as nested.
//!
//! # Examples
//!
//! A probe point whose handlers can be replaced while it fires:
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use axebpf_hit::{MAX_CPUS, Padded, PerCpu, Snapshot, enter, install};
//! use axebpf_platform::host::HOST;
//!
//! static HANDLER: Snapshot<fn() -> u64> = Snapshot::empty();
//! static SUM: PerCpu<AtomicU64> = PerCpu::new([const { Padded::new(AtomicU64::new(0)) }; MAX_CPUS]);
//! static MISSED: AtomicU64 = AtomicU64::new(0);
//!
//! fn fire() {
//!     match enter() {
//!         Ok(guard) => {
//!             if let Some(handler) = HANDLER.load(&guard) {
//!                 SUM.get(&guard).fetch_add(handler(), Ordering::Relaxed);
//!             }
//!         }
//!         Err(_missed) => {
//!             MISSED.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }
//! }
//!
//! install(&HOST)?;
//! HANDLER.publish(Some(Box::new(|| 20))).reclaim()?;
//! fire();
//! HANDLER.publish(Some(Box::new(|| 22))).reclaim()?;
//! fire();
//! // From here on, nothing calls the handlers any more.
//! HANDLER.publish(None).reclaim()?;
//! fire();
//!
//! let sum: u64 = SUM.iter().map(|(_cpu, sum)| sum.load(Ordering::Relaxed)).sum();
//! assert_eq!(sum, 42);
//! assert_eq!(MISSED.load(Ordering::Relaxed), 0);
//! # Ok::<(), axebpf_hit::HitError>(())
//! ```
//!
//! # Checking
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p axebpf-hit --release --test loom` explores all interleavings and memory orders of the
//! protocols, on machines of up to three CPUs. `cargo test -p axebpf-hit` runs them on threads, on a model of caches that
//! keep stale instructions for as long as they may.
#![no_std]

extern crate alloc;

mod environment;
mod error;
mod guard;
mod nested;
mod per_cpu;
mod quiesce;
mod snapshot;
mod sync;
pub mod text;

pub use environment::{install, platform};
pub use error::{FenceError, HitError, Missed};
pub use guard::{HitGuard, enter, in_hit};
pub use nested::NestedHit;
pub use per_cpu::{Padded, PerCpu};
pub use quiesce::quiesce;
pub use snapshot::{Retired, Snapshot};

/// The highest number of CPUs that a machine may have: CPU numbers are below it.
///
/// [`install`] refuses a platform with more.
pub const MAX_CPUS: usize = if cfg!(loom) { 3 } else { 64 };
