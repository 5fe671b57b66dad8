//! eBPF maps with stable value addresses, safe from every CPU and from a hit.
//!
//! A [`Map`] is used from two sides. **Hits**, which run programs, look up, update and delete with a
//! [`HitGuard`](axebpf_hit::HitGuard) as proof of where they are; they allocate nothing and wait for nobody. The
//! **management side** reads, writes, removes and iterates; it may wait, inside a guard of its own.
//!
//! Semantics, flags and error numbers are Linux's (`kernel/bpf/{arraymap,hashtab,ringbuf}.c` and their neighbours), with
//! these differences: all memory is allocated at creation, whatever `BPF_F_NO_PREALLOC` says; an update of an existing
//! hash entry writes in place, so that pointers from lookups stay live; iteration is by slot, and indifferent to what
//! others change; a record of a ring buffer has at most [`MAX_RECORD_LEN`] bytes; a ring buffer wakes nobody.
//!
//! # Kinds
//!
//! | kinds | programs | management side |
//! |---|---|---|
//! | hash, array, and both per CPU | [`lookup`](Map::lookup), [`update`](Map::update), [`delete`](Map::delete), [`entry_from`](Map::entry_from) | [`read`](Map::read), [`write`](Map::write), [`remove`](Map::remove), [`keys`](Map::keys); of hashes [`take`](Map::take) |
//! | LRU hash, LRU per-CPU hash | the same; a new key in a full map makes it forget an old one | the same, which does not count as use |
//! | queue, stack | [`push`](Map::push), [`pop`](Map::pop), [`peek`](Map::peek) | `write` and `read` with an empty key, `take` |
//! | bloom filter | `push`, [`contains`](Map::contains) | `write` with an empty key |
//! | ring buffer | [`ring`](Map::ring): reserve, submit, discard, output | consume |
//! | perf event array | [`perf`](Map::perf): output | consume, CPU by CPU as from a ring buffer |
//! | stack trace | [`stack_id`](Map::stack_id) | `read`, `remove`, `keys` |
//! | prog array | [`program`](Map::program) | [`write_program`](Map::write_program), [`read_program`](Map::read_program), [`clear_programs`](Map::clear_programs), `remove`, `keys` |
//! | array and hash of maps | [`inner`](Map::inner), [`inner_at`](Map::inner_at) | [`write_inner`](Map::write_inner), [`read_inner`](Map::read_inner), `remove`, `keys` |
//!
//! # Memory
//!
//! A map has one [`Arena`], which holds nothing but values, each aligned to 8 and as long at its address as the map
//! exists. Where programs get copies or numbers only, as of a queue, it is empty. A slot whose entry was deleted serves the next key, as in Linux. The arena is given back when the
//! [`Map`] is dropped; its owner first makes sure that no hit is left that could use it (`axebpf_hit::quiesce`).
//!
//! # Who may do what at the same time
//!
//! | | hits, on any CPU | management side |
//! |---|---|---|
//! | array kinds | everything, no lock | everything, no lock |
//! | hash kinds: look up, read | no lock; after 16 changes under its eyes, as below | the same |
//! | hash kinds: update, delete | the bucket's lock, tried 1024 times, then [`MapError::Busy`], counted | waits for the lock in a guard of its own |
//! | hash kinds: keys | | no lock |
//! | LRU kinds: making room | locks of other chains, each tried once, at most 128 of them, then [`MapError::Busy`] | the same until it succeeds |
//! | queue, stack | the map's lock, tried 1024 times, then [`MapError::Busy`] | waits for the lock in a guard of its own |
//! | bloom filter | no lock | no lock |
//! | stack trace: a stack that is there | no lock | waits for the slot's lock in a guard of its own |
//! | stack trace: a new stack | the slot's lock, tried 1024 times, then [`MapError::Busy`] | |
//! | programs, inner maps | no lock, no reference count; what was found lives until the hit ends | replacing waits for the hits of all CPUs to end |
//! | ring buffer, perf event array: reserve, submit, discard | no lock; reserving is tried 4096 times | |
//! | ring buffer, perf event array: consume | | no lock that a hit can want; one consumer at a time |
//!
//! Values are shared memory. Whole are: each aligned word; for hash kinds, what [`Map::read`] returns, with
//! respect to updates and deletions, though not to stores that a program makes through a pointer; and records.
//!
//! # Limits
//!
//! [`Map::create`] refuses, with the limit in the error: keys above [`MAX_KEY_SIZE`], values above
//! [`MAX_VALUE_SIZE`] or [`MAX_PER_CPU_VALUE_SIZE`], ring buffers outside of [`MIN_RING_SIZE`] to
//! [`MAX_RING_SIZE`] or of no power of two ([`RingBuf::size_for`] rounds), stacks of more than [`MAX_STACK_DEPTH`]
//! frames, maps in maps in maps, and maps above [`MAX_MAP_BYTES`] in all. Each CPU's records of a perf event array have
//! [`PERF_BUFFER_SIZE`] bytes.
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
//!
//! A stream of records, with a reservation filled in place:
//!
//! ```
//! use axebpf_maps::{Map, MapSpec};
//! use axebpf_platform::host::HOST;
//!
//! axebpf_hit::install(&HOST)?;
//! let events = Map::create(&MapSpec::ring(4096).named("events"), 1)?;
//! let ring = events.ring().ok_or("it is one")?;
//!
//! {
//!     let guard = axebpf_hit::enter()?;
//!     ring.output(&guard, b"an event")?;
//!     let record = ring.reserve(&guard, 16)?;
//!     // An engine lets the program write the `record.len` bytes at `record.ptr`, and then:
//!     ring.discard(&guard, record.ptr)?;
//! }
//!
//! ring.consume(|record| assert_eq!(record, b"an event"))?;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Tail calls and maps of maps, whose slots a hit reads without counting references:
//!
//! ```
//! use std::sync::Arc;
//!
//! use axebpf_maps::{Map, MapKind, MapSpec, UpdateFlags};
//! use axebpf_platform::host::HOST;
//!
//! axebpf_hit::install(&HOST)?;
//! let targets = Map::create(&MapSpec::new(MapKind::ProgArray, 4, 4, 8), 1)?;
//! targets.write_program(3, Arc::new("whatever an engine has as a program"))?;
//!
//! let template = MapSpec::new(MapKind::Hash, 8, 8, 64);
//! let per_vm = Map::create(
//!     &MapSpec::new(MapKind::ArrayOfMaps, 4, 4, 16).with_inner(template.clone()),
//!     1,
//! )?;
//! let vm = 2_u32.to_ne_bytes();
//! per_vm.write_inner(&vm, Arc::new(Map::create(&template, 1)?), UpdateFlags::Any)?;
//!
//! {
//!     let guard = axebpf_hit::enter()?;
//!     let target = targets.program(&guard, 3)?.ok_or("it is there")?;
//!     assert!(target.is::<&str>());
//!     let inner = per_vm.inner(&guard, &vm)?.ok_or("it is there")?;
//!     inner.map.update(&guard, &[1; 8], &[2; 8], UpdateFlags::Any)?;
//! }
//!
//! // Waits until no hit uses what was there.
//! targets.clear_programs()?;
//! per_vm.remove(&vm)?;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod array;
mod bloom;
mod entries;
mod errno;
mod error;
mod hash;
mod inner;
#[cfg(all(feature = "kbpf-basic", axebpf_unstable))]
mod kbpf;
mod keys;
mod limits;
mod map;
#[cfg(all(test, loom))]
mod models;
mod operation;
mod perf;
mod programs;
mod queue;
mod reader;
mod ring;
mod slots;
mod spec;
mod stacks;
mod stats;
mod storage;
mod store;
mod sync;
mod value_sink;
mod value_source;

pub use access::Access;
pub use entries::Entry;
pub use error::MapError;
pub use inner::InnerMap;
#[cfg(all(feature = "kbpf-basic", axebpf_unstable))]
pub use kbpf::KbpfMap;
pub use keys::Keys;
pub use limits::{
    MAX_KEY_SIZE, MAX_MAP_BYTES, MAX_NAME_LEN, MAX_PER_CPU_VALUE_SIZE, MAX_RING_SIZE,
    MAX_STACK_DEPTH, MAX_VALUE_SIZE, MIN_RING_SIZE, PERF_BUFFER_SIZE,
};
pub use map::Map;
pub use operation::{Difference, Operation};
pub use perf::PerfBuffers;
pub use programs::ProgramHandle;
pub use ring::{Consumer, MAX_RECORD_LEN, RingBuf, RingPositions, RingRecord};
pub use spec::{MapFlags, MapKind, MapSpec, UpdateFlags};
pub use stacks::StackFlags;
pub use stats::{MapStats, RingStats};
pub use storage::Arena;
pub use value_sink::ValueSink;
pub use value_source::ValueSource;
