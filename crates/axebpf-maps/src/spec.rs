//! What a map is to be: kind, sizes, flags.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use bitflags::bitflags;

use crate::MapError;

/// The kinds of maps, with the numbers of Linux's `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum MapKind {
    /// A hash table.
    Hash = 1,
    /// An array of values, all of which exist from the start.
    Array = 2,
    /// Slots that hold programs, for tail calls.
    ProgArray = 3,
    /// One queue of records for each CPU.
    PerfEventArray = 4,
    /// A hash table with one copy of each value for each CPU.
    PerCpuHash = 5,
    /// An array with one copy of each value for each CPU.
    PerCpuArray = 6,
    /// Call stacks, each found by a number made from its frames.
    StackTrace = 7,
    /// A hash table that makes room by forgetting what was not used for a while.
    LruHash = 9,
    /// The same with one copy of each value for each CPU.
    LruPerCpuHash = 10,
    /// An array whose values are maps.
    ArrayOfMaps = 12,
    /// A hash table whose values are maps.
    HashOfMaps = 13,
    /// Values that come out in the order in which they went in.
    Queue = 22,
    /// Values that come out in the reverse order.
    Stack = 23,
    /// A queue of records of any length, shared by all CPUs.
    RingBuf = 27,
    /// A set that may take what it never got for a member, but not the reverse.
    BloomFilter = 30,
}

/// All kinds, by number.
const KINDS: [MapKind; 15] = [
    MapKind::Hash,
    MapKind::Array,
    MapKind::ProgArray,
    MapKind::PerfEventArray,
    MapKind::PerCpuHash,
    MapKind::PerCpuArray,
    MapKind::StackTrace,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
    MapKind::ArrayOfMaps,
    MapKind::HashOfMaps,
    MapKind::Queue,
    MapKind::Stack,
    MapKind::RingBuf,
    MapKind::BloomFilter,
];

impl MapKind {
    /// Returns Linux's number of the kind.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Tells whether each CPU has its own copy of each value.
    #[must_use]
    pub const fn is_per_cpu(self) -> bool {
        matches!(
            self,
            Self::PerCpuHash | Self::PerCpuArray | Self::LruPerCpuHash
        )
    }

    /// Tells whether the values are maps.
    #[must_use]
    pub const fn holds_maps(self) -> bool {
        matches!(self, Self::ArrayOfMaps | Self::HashOfMaps)
    }
}

impl TryFrom<u32> for MapKind {
    type Error = MapError;

    fn try_from(kind: u32) -> Result<Self, MapError> {
        KINDS
            .into_iter()
            .find(|known| known.number() == kind)
            .ok_or(MapError::UnknownKind { kind })
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hash => "hash",
            Self::Array => "array",
            Self::ProgArray => "prog_array",
            Self::PerfEventArray => "perf_event_array",
            Self::PerCpuHash => "percpu_hash",
            Self::PerCpuArray => "percpu_array",
            Self::StackTrace => "stack_trace",
            Self::LruHash => "lru_hash",
            Self::LruPerCpuHash => "lru_percpu_hash",
            Self::ArrayOfMaps => "array_of_maps",
            Self::HashOfMaps => "hash_of_maps",
            Self::Queue => "queue",
            Self::Stack => "stack",
            Self::RingBuf => "ringbuf",
            Self::BloomFilter => "bloom_filter",
        })
    }
}

bitflags! {
    /// The flags of a map, with Linux's values (`BPF_F_*` of `BPF_MAP_CREATE`).
    ///
    /// Bits without a name are kept by [`from_bits_retain`](Self::from_bits_retain) and refused by
    /// [`Map::create`](crate::Map::create).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        /// Do not allocate all entries at creation. Accepted for hash kinds, and not followed: all memory is always
        /// allocated at creation, because a hit cannot allocate.
        const NO_PREALLOC = 1 << 0;
        /// Keep a list of what was used for each CPU. Accepted for the kinds that forget, and without effect, since
        /// they keep no list.
        const NO_COMMON_LRU = 1 << 1;
        /// The management side may not write.
        const RDONLY = 1 << 3;
        /// The management side may not read.
        const WRONLY = 1 << 4;
        /// Hash with a seed of zero, which makes the order of keys reproducible.
        const ZERO_SEED = 1 << 6;
        /// Programs may not write.
        const RDONLY_PROG = 1 << 7;
        /// Programs may not read.
        const WRONLY_PROG = 1 << 8;
        /// The values may be mapped into a process. Accepted for arrays, since libbpf sets it for global data, and
        /// without effect, since there are no processes.
        const MMAPABLE = 1 << 10;
        /// Keep the events when the process that opened the map closes it. Accepted for perf event arrays, and
        /// without effect, since there are no processes.
        const PRESERVE_ELEMS = 1 << 11;
        /// As the template of the values of another map: let these have other numbers of entries than the template.
        const INNER_MAP = 1 << 12;
    }
}

/// What [`Map::create`](crate::Map::create) makes a map from: the fields of Linux's `BPF_MAP_CREATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// The name; at most [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    pub name: String,
    /// The kind.
    pub kind: MapKind,
    /// Bytes in a key: 4 for kinds with numbered entries, 1 to [`MAX_KEY_SIZE`](crate::MAX_KEY_SIZE) for hash kinds,
    /// 0 for queues, stacks, ring buffers and bloom filters.
    pub key_size: u32,
    /// Bytes in a value: 1 to [`MAX_VALUE_SIZE`](crate::MAX_VALUE_SIZE), for per-CPU kinds and bloom filters to
    /// [`MAX_PER_CPU_VALUE_SIZE`](crate::MAX_PER_CPU_VALUE_SIZE); 4 for what holds programs, events or maps; 8 for each
    /// frame of a stack, up to [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH) frames; 0 for a ring buffer.
    pub value_size: u32,
    /// The number of entries; for a ring buffer the bytes that it holds, a power of two from
    /// [`MIN_RING_SIZE`](crate::MIN_RING_SIZE) to [`MAX_RING_SIZE`](crate::MAX_RING_SIZE); for a perf event array
    /// 0 means one for each CPU.
    pub max_entries: u32,
    /// The flags.
    pub flags: MapFlags,
    /// What depends on the kind (`map_extra`): for a bloom filter the number of hash functions, 0 to 15, where 0 means
    /// 5.
    pub extra: u64,
    /// What the values of a map of maps must look like.
    pub inner: Option<Arc<MapSpec>>,
}

impl MapSpec {
    /// Returns a specification without name and flags.
    #[must_use]
    pub const fn new(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            name: String::new(),
            kind,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::empty(),
            extra: 0,
            inner: None,
        }
    }

    /// Returns the specification of a ring buffer that holds `size` bytes.
    #[must_use]
    pub const fn ring(size: u32) -> Self {
        Self::new(MapKind::RingBuf, 0, 0, size)
    }

    /// Returns the specification with this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = String::from(name);
        self
    }

    /// Returns the specification with this template of its values, for a map of maps.
    #[must_use]
    pub fn with_inner(mut self, template: Self) -> Self {
        self.inner = Some(Arc::new(template));
        self
    }

    /// Returns the specification with what depends on the kind.
    #[must_use]
    pub const fn with_extra(mut self, extra: u64) -> Self {
        self.extra = extra;
        self
    }

    /// Returns the specification with these flags.
    #[must_use]
    pub const fn with_flags(mut self, flags: MapFlags) -> Self {
        self.flags = flags;
        self
    }
}

/// Under which condition an update takes place (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum UpdateFlags {
    /// Always: the key is inserted when it is not there.
    #[default]
    Any = 0,
    /// Only when the key is not there.
    NoExist = 1,
    /// Only when the key is there.
    Exist = 2,
}

impl TryFrom<u64> for UpdateFlags {
    type Error = MapError;

    fn try_from(flags: u64) -> Result<Self, MapError> {
        match flags {
            0 => Ok(Self::Any),
            1 => Ok(Self::NoExist),
            2 => Ok(Self::Exist),
            _ => Err(MapError::UnknownUpdateFlags { flags }),
        }
    }
}
