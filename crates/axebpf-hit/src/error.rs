//! What can go wrong in the hit environment.

use axebpf_platform::{CpuId, HostVirt, ReadFault, TextError};
use thiserror::Error;

use crate::MAX_CPUS;

/// Why a hit cannot begin. The probe kind counts it as missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Missed {
    /// This CPU is in a hit already.
    #[error("this CPU is in a hit already")]
    Nested,
    /// No platform is installed yet.
    #[error("no platform is installed")]
    NotInstalled,
    /// The platform names a CPU beyond its own limit.
    #[error("{cpu} is not a CPU of the platform")]
    UnknownCpu {
        /// What the platform said.
        cpu: CpuId,
    },
}

/// What can go wrong outside of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HitError {
    /// Another platform is installed already; there is one for each image.
    #[error("another platform is installed already")]
    OtherPlatform,
    /// The machine has more CPUs than this crate supports.
    #[error("the platform has {limit} CPUs, more than {MAX_CPUS}")]
    TooManyCpus {
        /// How many it has.
        limit: u32,
    },
    /// The call waits for hits to end, which it would do for ever inside one.
    #[error("not possible inside a hit (on CPU {cpu})")]
    InHit {
        /// The CPU that is in a hit.
        cpu: CpuId,
    },
    /// A CPU did not leave its hit within ten seconds.
    #[error("CPU {cpu} does not leave its hit")]
    Stuck {
        /// The CPU that is still in a hit.
        cpu: CpuId,
    },
}

/// Why text was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FenceError {
    /// No platform is installed yet.
    #[error("no platform is installed")]
    NotInstalled,
    /// A fence waits for the other CPUs, which a hit must not do.
    #[error("text cannot be written inside a hit (on CPU {cpu})")]
    InHit {
        /// The CPU that is in a hit.
        cpu: CpuId,
    },
    /// The platform names a CPU beyond its own limit.
    #[error("{cpu} is not a CPU of the platform")]
    UnknownCpu {
        /// What the platform said.
        cpu: CpuId,
    },
    /// A CPU did not stop in time. Nothing was written.
    #[error("CPU {cpu} did not stop for a text write within {waited_ms} ms")]
    NoAnswer {
        /// The first CPU that did not answer.
        cpu: CpuId,
        /// For how many milliseconds it was waited for.
        waited_ms: u64,
    },
    /// The range of a write goes past the end of the address space.
    #[error("{len} bytes at {at} go past the end of the address space")]
    OutOfRange {
        /// Where the write should have gone.
        at: HostVirt,
        /// How many bytes it has.
        len: usize,
    },
    /// The platform refused a write. Nothing has changed.
    #[error("{cause}")]
    Text {
        /// What the platform said.
        cause: TextError,
    },
    /// The bytes to go back to, should a later write of the same fence fail, could not be read.
    #[error("text to be replaced: {cause}")]
    Unreadable {
        /// What the platform said.
        cause: ReadFault,
    },
    /// There is no memory for the bytes to go back to. Nothing has changed.
    #[error("no memory to keep {bytes} bytes of text")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// A write failed, and what was written before it could not be taken back.
    #[error("text at {at} stays written: {cause}")]
    NotRolledBack {
        /// The write that stays.
        at: HostVirt,
        /// What the platform said when it was to be taken back.
        cause: TextError,
    },
}
