//! Writing what probes write: slots, traps, and what was there before.

#![allow(unsafe_code)]

use alloc::vec::Vec;

use axebpf_hit::text::{TextWrite, write_fenced};
use axebpf_platform::HostVirt;

use super::displace::Text;
use crate::HprobeError;

/// One piece of text and where it goes.
pub(crate) struct Patch {
    pub(crate) at: u64,
    pub(crate) text: Text,
}

/// Writes all of `patches` behind one fence, or none of them.
///
/// # Safety
///
/// What is written is meaningful there, as [`write_fenced`] asks for, and nothing that writing text executes is written
/// to.
pub(crate) unsafe fn write(patches: &[Patch]) -> Result<(), HprobeError> {
    let mut writes = Vec::new();
    writes
        .try_reserve_exact(patches.len())
        .map_err(|_| HprobeError::OutOfMemory)?;
    writes.extend(patches.iter().map(|patch| TextWrite {
        at: HostVirt::new(patch.at),
        bytes: patch.text.bytes(),
    }));
    // SAFETY: The caller vouches for both.
    unsafe { write_fenced(&writes) }.map_err(HprobeError::from)
}
