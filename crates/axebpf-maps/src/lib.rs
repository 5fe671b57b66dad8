//! eBPF maps with stable value addresses, safe from every CPU and from a hit.
//!
//! A [`Map`] is used from two sides. **Hits**, which run programs, look up, update and delete with a
//! [`HitGuard`](axebpf_hit::HitGuard) as proof of where they are; they allocate nothing and wait for nobody. The
//! **management side** reads, writes, removes and iterates; it may wait, inside a guard of its own.
//!
//! Semantics, flags and error numbers are Linux's (`kernel/bpf/{arraymap,hashtab,ringbuf}.c`), with these
//! differences: all memory is allocated at creation; an update of an existing hash entry writes in place; iteration is
//! by slot; nobody is woken by a ring buffer. The modules say how each kind is protected.
//!
//! # Examples
//!
//! ```
//! use axebpf_maps::{Map, MapKind, MapSpec, UpdateFlags};
//! use axebpf_platform::host::HOST;
//!
//! axebpf_hit::install(&HOST)?;
//! let exits = Map::create(&MapSpec::new(MapKind::Hash, 4, 8, 128).named("exits"), 1)?;
//!
//! // In a hit, as a program does it through its helpers.
//! {
//!     let guard = axebpf_hit::enter()?;
//!     let reason = 36_u32.to_ne_bytes();
//!     if exits.lookup(&guard, &reason)?.is_none() {
//!         exits.update(&guard, &reason, &1_u64.to_ne_bytes(), UpdateFlags::NoExist)?;
//!     }
//! }
//!
//! // Outside of it, as the shell does it.
//! for key in exits.keys() {
//!     let key = key?;
//!     assert_eq!(exits.read(&key)?, Some(1_u64.to_ne_bytes().to_vec()));
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod array;
mod error;
mod hash;
mod keys;
mod limits;
mod map;
#[cfg(all(test, loom))]
mod models;
mod reader;
mod ring;
mod spec;
mod stats;
mod storage;
mod sync;

pub use access::Access;
pub use error::{MapError, Operation};
pub use keys::Keys;
pub use limits::{
    MAX_KEY_SIZE, MAX_MAP_BYTES, MAX_NAME_LEN, MAX_PER_CPU_VALUE_SIZE, MAX_RING_SIZE,
    MAX_VALUE_SIZE, MIN_RING_SIZE,
};
pub use map::Map;
pub use ring::{Consumer, MAX_RECORD_LEN, RingBuf, RingPositions, RingRecord};
pub use spec::{MapFlags, MapKind, MapSpec, UpdateFlags};
pub use stats::{MapStats, RingStats};
pub use storage::{Arena, ValueSource};
