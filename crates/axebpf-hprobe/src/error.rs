//! Why a place cannot be probed.

use axebpf_a64::Refusal;
use axebpf_hit::{FenceError, HitError};
use axebpf_platform::{ExecError, HostVirt, ReadFault};
use thiserror::Error;

use crate::{ForeignRefusal, Protection};

/// Says why a place cannot be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HprobeError {
    /// The place is not the start of an instruction.
    #[error("{at} is not aligned as an instruction is")]
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
    /// The instruction, of an architecture other than aarch64, cannot be displaced.
    #[error("the instruction at {at} cannot be probed: {why}")]
    ForeignRefused {
        /// The place.
        at: HostVirt,
        /// Why it cannot be displaced.
        why: ForeignRefusal,
    },
    /// A range ends before it starts.
    #[error("the range from {start} to {end} is the wrong way round")]
    ReversedRange {
        /// Where it starts.
        start: HostVirt,
        /// Where it ends.
        end: HostVirt,
    },
    /// The place is between a load-exclusive and its store-exclusive; a trap there would make the store fail for ever.
    #[error("{at} is between the load-exclusive at {load} and its store-exclusive")]
    InExclusiveSequence {
        /// The place.
        at: HostVirt,
        /// Where the sequence starts.
        load: HostVirt,
    },
    /// There is nothing to attach to.
    #[error("no place to probe is given")]
    NoPoints,
    /// No [`Config`](crate::Config) is installed.
    #[error("no configuration is installed")]
    NotInstalled,
    /// A configuration is installed already; there is one for each image.
    #[error("a configuration is installed already")]
    AlreadyInstalled,
    /// The call waits for hits to end, which it would do for ever inside one.
    #[error("not possible inside a hit")]
    InHit,
    /// There is no executable memory for displaced instructions.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The executable memory that the platform gave has no room for one instruction.
    #[error("the executable memory has no room for an instruction")]
    NoSlot,
    /// Text could not be written. Where the instructions could not be put back, the link stays.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A CPU does not leave its hit; it may be running the handler of a detached link still.
    #[error(transparent)]
    Hit(#[from] HitError),
    /// There is no memory.
    #[error("out of memory")]
    OutOfMemory,
    /// The functions that are reachable from what must not be probed are too many to follow.
    #[error("more than {limit} functions are reachable from those that must not be probed")]
    TooManyReachable {
        /// How many are followed.
        limit: usize,
    },
}
