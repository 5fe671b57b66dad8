//! How the entries of a map are kept.

use crate::array::Array;
use crate::bloom::Bloom;
use crate::hash::Hash;
use crate::inner::InnerMaps;
use crate::perf::PerfBuffers;
use crate::programs::Programs;
use crate::queue::Queue;
use crate::ring::RingBuf;
use crate::stacks::Stacks;
use crate::storage::{Arena, Copies};
use crate::{MapError, MapKind, MapSpec};

#[derive(Debug)]
pub(crate) enum Store {
    Array(Array),
    Hash(Hash),
    Ring(RingBuf),
    Queue(Queue),
    Bloom(Bloom),
    Perf(PerfBuffers),
    Programs(Programs),
    Stacks(Stacks),
    Maps(InnerMaps),
}

impl Store {
    /// Allocates what `spec` describes. The caller has checked it but for the memory that it takes.
    pub(crate) fn new(spec: &MapSpec, cpus: u32, seed: u64) -> Result<Self, MapError> {
        let copies = if spec.kind.is_per_cpu() {
            Copies::PerCpu(cpus)
        } else {
            Copies::Shared
        };
        Ok(match spec.kind {
            MapKind::Array | MapKind::PerCpuArray => Self::Array(Array::new(spec, copies)?),
            MapKind::Hash | MapKind::PerCpuHash | MapKind::LruHash | MapKind::LruPerCpuHash => {
                Self::Hash(Hash::new(spec, copies, seed)?)
            }
            MapKind::RingBuf => Self::Ring(RingBuf::new(spec.max_entries)?),
            MapKind::Queue | MapKind::Stack => Self::Queue(Queue::new(spec)?),
            MapKind::BloomFilter => Self::Bloom(Bloom::new(spec, seed)?),
            MapKind::PerfEventArray => Self::Perf(PerfBuffers::new(spec, cpus)?),
            MapKind::ProgArray => Self::Programs(Programs::new(spec)?),
            MapKind::StackTrace => Self::Stacks(Stacks::new(spec, seed)?),
            MapKind::ArrayOfMaps | MapKind::HashOfMaps => Self::Maps(InnerMaps::new(spec, seed)?),
        })
    }

    /// Returns the memory to which programs can have pointers.
    pub(crate) fn arena(&self) -> Arena {
        match self {
            Self::Array(array) => array.values().arena(),
            Self::Hash(hash) => hash.values().arena(),
            Self::Ring(ring) => ring.arena(),
            _ => Arena::NONE,
        }
    }

    /// Returns the bytes that the store takes, bookkeeping included.
    pub(crate) fn memory(&self, spec: &MapSpec) -> u64 {
        match self {
            Self::Array(array) => array.values().byte_len() as u64,
            Self::Hash(hash) => hash.values().byte_len() as u64 + Hash::bookkeeping_for(spec),
            Self::Ring(_) => RingBuf::bytes_for(spec.max_entries),
            Self::Queue(queue) => queue.values().byte_len() as u64,
            Self::Bloom(bloom) => bloom.bookkeeping(),
            Self::Perf(buffers) => buffers.memory(),
            Self::Programs(programs) => {
                u64::from(programs.slots().len()) * size_of::<usize>() as u64
            }
            Self::Stacks(stacks) => stacks.memory(),
            Self::Maps(_) => InnerMaps::bytes_for(spec),
        }
    }

    /// Returns the bytes of an entry as the management side sees it; 0 where it cannot read entries.
    pub(crate) fn entry_size(&self) -> usize {
        match self {
            Self::Array(array) => array.values().entry_size(),
            Self::Hash(hash) => hash.values().entry_size(),
            Self::Queue(queue) => queue.values().entry_size(),
            Self::Stacks(stacks) => stacks.values().entry_size(),
            Self::Bloom(bloom) => bloom.value_size(),
            Self::Programs(_) | Self::Maps(_) => size_of::<u32>(),
            Self::Ring(_) | Self::Perf(_) => 0,
        }
    }

    /// Returns the number of places where a key can be.
    pub(crate) fn slots(&self) -> u32 {
        match self {
            Self::Array(array) => array.entries(),
            Self::Hash(hash) => hash.slots(),
            Self::Programs(programs) => programs.slots().len(),
            Self::Stacks(stacks) => stacks.slots(),
            Self::Maps(maps) => maps.slots().len(),
            Self::Ring(_) | Self::Queue(_) | Self::Bloom(_) | Self::Perf(_) => 0,
        }
    }

    /// Copies the key in `slot` out; tells whether there is one.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> Result<bool, MapError> {
        match self {
            Self::Array(array) => Ok(array.key_of(slot, key)),
            Self::Hash(hash) => Ok(hash.key_of(slot, key)),
            Self::Stacks(stacks) => Ok(stacks.key_of(slot, key)),
            Self::Maps(maps) => maps.key_of(slot, key),
            Self::Programs(programs) => {
                key.copy_from_slice(&slot.to_ne_bytes());
                Ok(programs.slots().number(slot)?.is_some())
            }
            Self::Ring(_) | Self::Queue(_) | Self::Bloom(_) | Self::Perf(_) => Ok(false),
        }
    }
}
