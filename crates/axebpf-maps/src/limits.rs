//! The limits of a specification, and the check against them.

use axebpf_hit::MAX_CPUS;

use crate::{MapError, MapFlags, MapKind, MapSpec};

/// The most bytes that a key can have: the size of a program's stack frame, as in Linux (`MAX_BPF_STACK`).
pub const MAX_KEY_SIZE: u32 = 512;

/// The most bytes that a value of an array or a hash can have: 16 MiB.
pub const MAX_VALUE_SIZE: u32 = 16 << 20;

/// The most bytes that a value of a per-CPU kind can have: 32 KiB, as in Linux (`PCPU_MIN_UNIT_SIZE`).
pub const MAX_PER_CPU_VALUE_SIZE: u32 = 32 << 10;

/// The fewest bytes that a ring buffer can hold: a page.
pub const MIN_RING_SIZE: u32 = 4096;

/// The most bytes that a ring buffer can hold: 64 MiB.
pub const MAX_RING_SIZE: u32 = 64 << 20;

/// The bytes that each CPU's records of a perf event array can take.
pub const PERF_BUFFER_SIZE: u32 = 32 << 10;

/// The most frames that a stack of a stack trace map can have, as in Linux (`PERF_MAX_STACK_DEPTH`).
pub const MAX_STACK_DEPTH: u32 = 127;

/// The bytes of a frame of a stack.
const FRAME: u32 = 8;

/// The most hash functions of a bloom filter.
const MAX_HASH_FUNCTIONS: u64 = 15;

/// The most bytes of memory, values and bookkeeping together, that one map can take: 256 MiB.
pub const MAX_MAP_BYTES: u64 = 256 << 20;

/// The most bytes that the name of a map can have.
pub const MAX_NAME_LEN: usize = 256;

/// Checks everything about `spec` that does not depend on how much memory there is.
pub(crate) fn check(spec: &MapSpec, cpus: u32) -> Result<(), MapError> {
    if spec.name.len() > MAX_NAME_LEN {
        return Err(MapError::NameTooLong {
            len: spec.name.len(),
            limit: MAX_NAME_LEN,
        });
    }
    if cpus == 0 || cpus as usize > MAX_CPUS {
        return Err(MapError::CpuCount {
            cpus,
            limit: MAX_CPUS as u32,
        });
    }
    check_flags(spec)?;
    check_sizes(spec)?;
    check_extra(spec)?;
    check_template(spec)
}

fn check_flags(spec: &MapSpec) -> Result<(), MapError> {
    let access =
        MapFlags::RDONLY | MapFlags::WRONLY | MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG;
    let management = MapFlags::RDONLY | MapFlags::WRONLY;
    let possible = match spec.kind {
        MapKind::Hash | MapKind::PerCpuHash | MapKind::HashOfMaps => {
            access | MapFlags::NO_PREALLOC | MapFlags::ZERO_SEED
        }
        MapKind::LruHash | MapKind::LruPerCpuHash => {
            access | MapFlags::NO_COMMON_LRU | MapFlags::ZERO_SEED
        }
        MapKind::Array => access | MapFlags::MMAPABLE | MapFlags::INNER_MAP,
        MapKind::PerCpuArray | MapKind::Queue | MapKind::Stack => access,
        MapKind::BloomFilter => access | MapFlags::ZERO_SEED,
        MapKind::ProgArray | MapKind::ArrayOfMaps | MapKind::StackTrace => management,
        MapKind::PerfEventArray => management | MapFlags::PRESERVE_ELEMS,
        MapKind::RingBuf => MapFlags::empty(),
    };
    let wrong = spec.flags.bits() & !possible.bits();
    if wrong != 0 {
        return Err(MapError::UnsupportedFlags {
            kind: spec.kind,
            flags: wrong,
        });
    }
    for pair in [
        MapFlags::RDONLY | MapFlags::WRONLY,
        MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG,
    ] {
        if spec.flags.contains(pair) {
            return Err(MapError::ConflictingFlags { flags: pair });
        }
    }
    Ok(())
}

fn check_sizes(spec: &MapSpec) -> Result<(), MapError> {
    let kind = spec.kind;
    let (keys, values) = match kind {
        MapKind::Hash | MapKind::LruHash => (1..=MAX_KEY_SIZE, 1..=MAX_VALUE_SIZE),
        MapKind::PerCpuHash | MapKind::LruPerCpuHash => {
            (1..=MAX_KEY_SIZE, 1..=MAX_PER_CPU_VALUE_SIZE)
        }
        MapKind::HashOfMaps => (1..=MAX_KEY_SIZE, 4..=4),
        MapKind::Array => (4..=4, 1..=MAX_VALUE_SIZE),
        MapKind::PerCpuArray => (4..=4, 1..=MAX_PER_CPU_VALUE_SIZE),
        MapKind::ProgArray | MapKind::PerfEventArray | MapKind::ArrayOfMaps => (4..=4, 4..=4),
        MapKind::StackTrace => (4..=4, FRAME..=FRAME * MAX_STACK_DEPTH),
        MapKind::Queue | MapKind::Stack => (0..=0, 1..=MAX_VALUE_SIZE),
        MapKind::BloomFilter => (0..=0, 1..=MAX_PER_CPU_VALUE_SIZE),
        MapKind::RingBuf => (0..=0, 0..=0),
    };
    if !keys.contains(&spec.key_size) {
        let (min, max) = (*keys.start(), *keys.end());
        return Err(MapError::KeySize {
            kind,
            size: spec.key_size,
            min,
            max,
        });
    }
    if !values.contains(&spec.value_size) {
        let (min, max) = (*values.start(), *values.end());
        return Err(MapError::ValueSize {
            kind,
            size: spec.value_size,
            min,
            max,
        });
    }
    if kind == MapKind::StackTrace && !spec.value_size.is_multiple_of(FRAME) {
        return Err(MapError::StackSize {
            size: spec.value_size,
            frame: FRAME,
        });
    }
    check_entries(spec)
}

fn check_entries(spec: &MapSpec) -> Result<(), MapError> {
    let entries = spec.max_entries;
    if spec.kind == MapKind::RingBuf {
        let (min, max) = (MIN_RING_SIZE, MAX_RING_SIZE);
        if !entries.is_power_of_two() || !(min..=max).contains(&entries) {
            return Err(MapError::RingSize {
                size: entries,
                min,
                max,
            });
        }
        return Ok(());
    }
    let min = u32::from(spec.kind != MapKind::PerfEventArray);
    let max = i32::MAX as u32;
    if !(min..=max).contains(&entries) {
        return Err(MapError::Entries {
            kind: spec.kind,
            entries,
            min,
            max,
        });
    }
    Ok(())
}

fn check_extra(spec: &MapSpec) -> Result<(), MapError> {
    let max = match spec.kind {
        MapKind::BloomFilter => MAX_HASH_FUNCTIONS,
        _ => 0,
    };
    if spec.extra > max {
        return Err(MapError::UnknownExtra {
            kind: spec.kind,
            extra: spec.extra,
        });
    }
    Ok(())
}

fn check_template(spec: &MapSpec) -> Result<(), MapError> {
    let kind = spec.kind;
    match &spec.inner {
        None if !kind.holds_maps() => Ok(()),
        Some(inner) if kind.holds_maps() => {
            // As in Linux, one level only; and a program that an inner map held could hold the outer map.
            if inner.kind.holds_maps() || inner.kind == MapKind::ProgArray {
                return Err(MapError::InnerKind { inner: inner.kind });
            }
            check_flags(inner)?;
            check_sizes(inner)?;
            check_extra(inner)
        }
        _ => Err(MapError::Template { kind }),
    }
}

/// Refuses what would take more than [`MAX_MAP_BYTES`].
pub(crate) fn check_total(bytes: u64) -> Result<(), MapError> {
    if bytes > MAX_MAP_BYTES {
        return Err(MapError::TooLarge {
            bytes,
            limit: MAX_MAP_BYTES,
        });
    }
    Ok(())
}
