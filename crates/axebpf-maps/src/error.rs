//! What can go wrong with a map.

use axebpf_hit::{HitError, Missed};
use thiserror::Error;

use crate::{Difference, MapFlags, MapKind, Operation, UpdateFlags};

/// An operation on a map that was refused, and why. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The kind of map is unknown, or not supported.
    #[error("map type {kind} is not supported")]
    UnknownKind {
        /// Linux's number of the kind (`enum bpf_map_type`).
        kind: u32,
    },
    /// The flags of the specification are unknown, or not possible with this kind.
    #[error("map flags {flags:#x} are not possible for a {kind} map")]
    UnsupportedFlags {
        /// The kind asked for.
        kind: MapKind,
        /// The offending bits.
        flags: u32,
    },
    /// Two flags contradict each other.
    #[error("map flags {flags:?} exclude each other")]
    ConflictingFlags {
        /// The flags that do.
        flags: MapFlags,
    },
    /// The key size of the specification is not possible with this kind.
    #[error("a {kind} map has keys of {min} to {max} bytes, not {size}")]
    KeySize {
        /// The kind asked for.
        kind: MapKind,
        /// The size asked for, in bytes.
        size: u32,
        /// The smallest possible size.
        min: u32,
        /// The largest possible size.
        max: u32,
    },
    /// The value size of the specification is not possible with this kind.
    #[error("a {kind} map has values of {min} to {max} bytes, not {size}")]
    ValueSize {
        /// The kind asked for.
        kind: MapKind,
        /// The size asked for, in bytes.
        size: u32,
        /// The smallest possible size.
        min: u32,
        /// The largest possible size.
        max: u32,
    },
    /// The number of entries of the specification is not possible with this kind.
    #[error("a {kind} map has {min} to {max} entries, not {entries}")]
    Entries {
        /// The kind asked for.
        kind: MapKind,
        /// The number asked for.
        entries: u32,
        /// The smallest possible number.
        min: u32,
        /// The largest possible number.
        max: u32,
    },
    /// The values of a stack trace map are no whole number of frames.
    #[error("a stack of {size} bytes is no whole number of frames of {frame} bytes")]
    StackSize {
        /// The size asked for, in bytes.
        size: u32,
        /// Bytes in a frame.
        frame: u32,
    },
    /// What depends on the kind (`map_extra`) is unknown.
    #[error("{extra:#x} is nothing that a {kind} map knows as extra")]
    UnknownExtra {
        /// The kind asked for.
        kind: MapKind,
        /// What was given.
        extra: u64,
    },
    /// A map of maps has no template of its values, or another kind has one.
    #[error("a {kind} map and a template of inner maps do not go together as given")]
    Template {
        /// The kind asked for.
        kind: MapKind,
    },
    /// The values of a map of maps cannot be of this kind.
    #[error("a {inner} map cannot be inside of another map")]
    InnerKind {
        /// The kind of the template.
        inner: MapKind,
    },
    /// The size of a ring buffer is not a power of two within the limits.
    #[error("a ring buffer has a power of two of {min} to {max} bytes, not {size}")]
    RingSize {
        /// The size asked for (`max_entries`), in bytes.
        size: u32,
        /// The smallest possible size.
        min: u32,
        /// The largest possible size.
        max: u32,
    },
    /// The name is too long.
    #[error("a map name of {len} bytes is longer than {limit}")]
    NameTooLong {
        /// The length of the name, in bytes.
        len: usize,
        /// The longest possible.
        limit: usize,
    },
    /// The number of CPUs is not possible.
    #[error("a map for {cpus} CPUs is not possible; 1 to {limit} are")]
    CpuCount {
        /// The number asked for.
        cpus: u32,
        /// The largest possible.
        limit: u32,
    },
    /// The map would need more memory than any map may.
    #[error("the map needs {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The memory it would need, in bytes; saturated.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// There is no memory for the map.
    #[error("no memory for a map of {bytes} bytes")]
    OutOfMemory {
        /// The memory it needs, in bytes.
        bytes: u64,
    },
    /// A key of the wrong length was given.
    #[error("the map has keys of {expected} bytes, not {len}")]
    KeyLength {
        /// The length given, in bytes.
        len: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// A value of the wrong length was given.
    #[error("the map takes {expected} bytes for a value, not {len}")]
    ValueLength {
        /// The length given, in bytes.
        len: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// The flags of an update are unknown.
    #[error("update flags {flags:#x} are unknown; 0 (any), 1 (noexist) and 2 (exist) are not")]
    UnknownUpdateFlags {
        /// The flags given.
        flags: u64,
    },
    /// The flags of an update are known, but not for this operation.
    #[error("a {kind} map cannot do this with update flags {flags:?}")]
    WrongUpdateFlags {
        /// The kind of the map.
        kind: MapKind,
        /// The flags given.
        flags: UpdateFlags,
    },
    /// The flags of an operation that has its own are unknown.
    #[error("flags {flags:#x} are unknown; {known:#x} are not")]
    UnknownOperationFlags {
        /// The flags given.
        flags: u64,
        /// All bits that are known.
        known: u64,
    },
    /// The key is not in the map.
    #[error("the key is not in the map")]
    NotFound,
    /// The key is in the map already.
    #[error("the key is in the map already")]
    Exists,
    /// The map has as many entries as it can have.
    #[error("the map is full: it has {limit} entries")]
    Full {
        /// The number of entries that it can have.
        limit: u32,
    },
    /// An array has no such index.
    #[error("index {index} is outside of an array of {limit}")]
    IndexOutOfRange {
        /// The index given.
        index: u32,
        /// The number of entries.
        limit: u32,
    },
    /// The operation does not exist for this kind of map.
    #[error("a {kind} map cannot {operation}")]
    Unsupported {
        /// The kind of the map.
        kind: MapKind,
        /// What was asked of it.
        operation: Operation,
    },
    /// The flags of the map, or freezing it, forbid the operation to this side.
    #[error("this side may not {operation} the map")]
    Forbidden {
        /// What was asked of it.
        operation: Operation,
    },
    /// Another CPU held the map for longer than a hit waits. Counted in [`MapStats`](crate::MapStats).
    #[error("another CPU holds the map")]
    Busy,
    /// The executing CPU has no copy in this per-CPU map.
    #[error("CPU {cpu} is outside of a map for {limit} CPUs")]
    NoSuchCpu {
        /// The CPU.
        cpu: u32,
        /// The number of CPUs that the map was made for.
        limit: u32,
    },
    /// The records of a perf event array go to the executing CPU only.
    #[error("CPU {current} cannot write records of CPU {cpu}")]
    OtherCpu {
        /// The CPU whose records were to be written.
        cpu: u32,
        /// The executing CPU.
        current: u32,
    },
    /// A map does not look like the template of the map that it shall be a value of.
    #[error("the map's {difference} is not that of the template")]
    NotLikeTemplate {
        /// What differs.
        difference: Difference,
    },
    /// A record is larger than this ring buffer takes.
    #[error("a record of {len} bytes is larger than {limit}")]
    RecordTooLarge {
        /// The length asked for, in bytes.
        len: u64,
        /// The longest possible.
        limit: u32,
    },
    /// The ring buffer has no room left. Counted as dropped.
    #[error("the ring buffer has no room for {len} bytes")]
    RingFull {
        /// The length asked for, in bytes.
        len: u32,
    },
    /// An address is not that of a live reservation of this ring buffer.
    #[error("{addr:#x} is not a reserved record of this ring buffer")]
    NotReserved {
        /// The address given.
        addr: usize,
    },
    /// Somebody else consumes the ring buffer at this moment.
    #[error("the ring buffer has a consumer already")]
    ConsumerBusy,
    /// A record header of the ring buffer was overwritten.
    #[error("the ring buffer is corrupt at position {position}")]
    RingCorrupt {
        /// The position of the header, in bytes since the creation.
        position: u64,
    },
    /// A CPU stays in its hit, so what was replaced could not be given back.
    #[error("what was replaced is lost: {error}")]
    Stuck {
        /// Why.
        error: HitError,
    },
    /// A function of the management side was called during a hit.
    #[error("the management side of a map was used during a hit")]
    InHit,
    /// The management side could not enter a hit guard, without which it must not hold the map.
    #[error("cannot hold the map: {missed}")]
    NoGuard {
        /// Why not.
        missed: Missed,
    },
}
