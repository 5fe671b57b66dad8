//! The error numbers that programs get, with the values of Linux.

use crate::{MapError, MapKind, Operation};

const EPERM: i64 = -1;
const ENOENT: i64 = -2;
const E2BIG: i64 = -7;
const EAGAIN: i64 = -11;
const ENOMEM: i64 = -12;
const EBUSY: i64 = -16;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const EOPNOTSUPP: i64 = -95;
const ENOTSUPP: i64 = -524;

impl MapError {
    /// Returns the negative error number that a helper gives to a program, as Linux does for the same mistake.
    #[must_use]
    pub fn errno(&self) -> i64 {
        match self {
            Self::Forbidden { .. } => EPERM,
            Self::NotFound => ENOENT,
            Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::IndexOutOfRange { .. }
            | Self::RecordTooLarge { .. } => E2BIG,
            Self::RingFull { .. } => EAGAIN,
            Self::OutOfMemory { .. } => ENOMEM,
            Self::Busy | Self::ConsumerBusy | Self::InHit | Self::Stuck { .. } => EBUSY,
            Self::Exists => EEXIST,
            Self::Unsupported { kind, operation } => unsupported(*kind, *operation),
            Self::OtherCpu { .. } => EOPNOTSUPP,
            Self::NoGuard { .. } => ENOTSUPP,
            _ => EINVAL,
        }
    }
}

/// Returns what Linux says when a map of `kind` lacks `operation`.
fn unsupported(kind: MapKind, operation: Operation) -> i64 {
    use Operation::{Delete, Iterate, Lookup, Peek, Pop, Push};
    match (kind, operation) {
        (MapKind::RingBuf, _) => ENOTSUPP,
        (MapKind::BloomFilter, Delete | Iterate | Pop)
        | (MapKind::StackTrace | MapKind::PerfEventArray | MapKind::ProgArray, Lookup)
        | (
            MapKind::Hash
            | MapKind::Array
            | MapKind::PerCpuHash
            | MapKind::PerCpuArray
            | MapKind::LruHash
            | MapKind::LruPerCpuHash,
            Push | Pop | Peek,
        ) => EOPNOTSUPP,
        _ => EINVAL,
    }
}
