//! What a map is to be: kind, sizes, flags.

use alloc::string::String;
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
    /// A hash table with one copy of each value for each CPU.
    PerCpuHash = 5,
    /// An array with one copy of each value for each CPU.
    PerCpuArray = 6,
    /// A queue of records of any length, shared by all CPUs.
    RingBuf = 27,
}

impl MapKind {
    /// Returns Linux's number of the kind.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Tells whether each CPU has its own copy of each value.
    #[must_use]
    pub const fn is_per_cpu(self) -> bool {
        matches!(self, Self::PerCpuHash | Self::PerCpuArray)
    }
}

impl TryFrom<u32> for MapKind {
    type Error = MapError;

    fn try_from(kind: u32) -> Result<Self, MapError> {
        match kind {
            1 => Ok(Self::Hash),
            2 => Ok(Self::Array),
            5 => Ok(Self::PerCpuHash),
            6 => Ok(Self::PerCpuArray),
            27 => Ok(Self::RingBuf),
            _ => Err(MapError::UnknownKind { kind }),
        }
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hash => "hash",
            Self::Array => "array",
            Self::PerCpuHash => "percpu_hash",
            Self::PerCpuArray => "percpu_array",
            Self::RingBuf => "ringbuf",
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
    }
}

/// What [`Map::create`](crate::Map::create) makes a map from: the fields of Linux's `BPF_MAP_CREATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// The name; at most [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    pub name: String,
    /// The kind.
    pub kind: MapKind,
    /// Bytes in a key: 4 for arrays, 1 to [`MAX_KEY_SIZE`](crate::MAX_KEY_SIZE) for hash kinds, 0 for a ring buffer.
    pub key_size: u32,
    /// Bytes in a value: 1 to [`MAX_VALUE_SIZE`](crate::MAX_VALUE_SIZE), for per-CPU kinds to
    /// [`MAX_PER_CPU_VALUE_SIZE`](crate::MAX_PER_CPU_VALUE_SIZE); 0 for a ring buffer.
    pub value_size: u32,
    /// The number of entries; for a ring buffer the bytes that it holds, a power of two from
    /// [`MIN_RING_SIZE`](crate::MIN_RING_SIZE) to [`MAX_RING_SIZE`](crate::MAX_RING_SIZE).
    pub max_entries: u32,
    /// The flags.
    pub flags: MapFlags,
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
