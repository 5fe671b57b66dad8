//! Writing hypervisor text while no CPU executes it.
//!
//! [`write_fenced`] stops all other CPUs, writes, and lets them go on, each after it has synchronised its context. One
//! fence happens at a time; who waits for its turn, for other CPUs to stop, or in [`quiesce`](crate::quiesce), answers
//! the fences of others, so that two initiators cannot wait for each other.
//!
//! The numbers of fences and the acknowledgements of CPUs are what the protocol consists of. A fence has an odd number,
//! which it puts into the *epoch* word; the next even number there ends it. A CPU that is asked to stop writes the
//! number of the fence into its own acknowledgement word and waits for the epoch to change. Numbers never come back, so
//! what a CPU answers late, to a fence that was given up, is never taken for an answer to a later one.
//!
//! # What the hypervisor has to do
//!
//! - The handler of the kick (see [`CoreSync::kick`](axebpf_platform::CoreSync::kick)) calls [`answer`].
//! - Loops that wait for another CPU with interrupts masked call [`answer`] too. A lock that is spun on with interrupts
//!   masked must not be held over [`write_fenced`].
//! - A CPU that comes online calls [`cpu_online`] first.
//! - A CPU that goes offline executes no text that may be patched once
//!   [`is_online`](axebpf_platform::Cpus::is_online) no longer names it.
//! - None of these functions, nor what they call in the platform, is ever patched.

mod fence;
mod write;

use axebpf_platform::HostVirt;

pub use fence::{answer, cpu_online};
pub use write::write_fenced;

/// One piece of text to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextWrite<'a> {
    /// Where it goes.
    pub at: HostVirt,
    /// What goes there.
    pub bytes: &'a [u8],
}
