//! Writing what probes write: slots, traps, and what was there before.

#![allow(unsafe_code)]

use alloc::vec::Vec;

use axebpf_hit::text::{TextWrite, write_fenced};
use axebpf_platform::HostVirt;

use crate::HprobeError;

/// One piece of text, with the bytes for it.
#[derive(Clone, Copy)]
pub(crate) struct Patch<const N: usize> {
    pub(crate) at: HostVirt,
    pub(crate) bytes: [u8; N],
}

impl Patch<4> {
    pub(crate) fn word(at: u64, word: u32) -> Self {
        Self {
            at: HostVirt::new(at),
            bytes: word.to_le_bytes(),
        }
    }
}

/// Writes all of `patches` behind one fence, or none of them.
///
/// # Safety
///
/// What is written is meaningful there, as [`write_fenced`] asks for, and nothing that writing text executes is written
/// to.
pub(crate) unsafe fn write<const N: usize>(patches: &[Patch<N>]) -> Result<(), HprobeError> {
    let mut writes = Vec::new();
    writes
        .try_reserve_exact(patches.len())
        .map_err(|_| HprobeError::OutOfMemory)?;
    writes.extend(patches.iter().map(|patch| TextWrite {
        at: patch.at,
        bytes: &patch.bytes,
    }));
    // SAFETY: The caller vouches for both.
    unsafe { write_fenced(&writes) }.map_err(HprobeError::from)
}
