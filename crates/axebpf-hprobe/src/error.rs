//! Why a place cannot be probed.

use axebpf_a64::Refusal;
use axebpf_platform::{HostVirt, ReadFault};
use thiserror::Error;

use crate::Protection;

/// Says why a place cannot be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HprobeError {
    /// The place is not the start of an instruction.
    #[error("{at} is no multiple of 4, and so no instruction")]
    Misaligned {
        /// The place.
        at: HostVirt,
    },
    /// The offset leads out of the address space.
    #[error("{function} and {offset:#x} bytes leave the address space")]
    OffsetOverflow {
        /// The start of the function.
        function: HostVirt,
        /// The distance from it in bytes.
        offset: u64,
    },
    /// The place is not hypervisor text.
    #[error("{at} is not hypervisor text, which is from {start} to {end}")]
    NotText {
        /// The place.
        at: HostVirt,
        /// Where the text starts.
        start: HostVirt,
        /// The first byte behind it.
        end: HostVirt,
    },
    /// The place must not be probed.
    #[error("{at} must not be probed: it is {why}")]
    Protected {
        /// The place.
        at: HostVirt,
        /// What it is.
        why: Protection,
    },
    /// The instruction cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadFault),
    /// The instruction cannot be displaced.
    #[error("the instruction {word:#010x} at {at} cannot be probed: {why}")]
    Refused {
        /// The place.
        at: HostVirt,
        /// The instruction.
        word: u32,
        /// Why it cannot be displaced.
        why: Refusal,
    },
    /// A range ends before it starts.
    #[error("the range from {start} to {end} is the wrong way round")]
    ReversedRange {
        /// Where it starts.
        start: HostVirt,
        /// Where it ends.
        end: HostVirt,
    },
}
