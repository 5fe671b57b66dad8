//! The writes of one fence: all of them, or none.

use alloc::vec::Vec;

use axebpf_platform::{HostVirt, Platform};

use super::TextWrite;
use super::fence::Stopped;
use crate::{FenceError, environment};

/// Writes hypervisor text while no CPU executes it, and returns when all CPUs fetch what was written.
///
/// All other online CPUs stop meanwhile, this one masks interrupts. The writes happen in their order, and either all
/// of them or none. Nothing happens when there is nothing to write.
///
/// # Errors
///
/// [`FenceError`]; except for [`FenceError::NotRolledBack`], nothing has changed then. An error is found before any CPU
/// is stopped where the platform can tell ([`check_text`](axebpf_platform::TextPatch::check_text)).
///
/// # Safety
///
/// What is written is meaningful there: a CPU that executes the text before, after, or, in a function that it was
/// stopped in, partly before and partly after all of the writes, does what the hypervisor's code may do.
///
/// The text of this crate, of the platform and of trap entry is not written to.
pub unsafe fn write_fenced(writes: &[TextWrite<'_>]) -> Result<(), FenceError> {
    let platform = environment::platform().ok_or(FenceError::NotInstalled)?;
    check(platform, writes)?;
    if writes.iter().all(|write| write.bytes.is_empty()) {
        return Ok(());
    }
    // Allocated before the fence: a CPU may be stopped in the middle of the allocator.
    let mut before = reserve(writes)?;
    let stopped = Stopped::others(platform)?;
    save(platform, writes, &mut before)?;
    // SAFETY: The other CPUs are stopped; the caller vouches for what is written.
    let written = unsafe { apply(platform, writes, &before) };
    // Named, so that it lives until here: what allocates or frees comes after.
    drop(stopped);
    written
}

/// Finds what can be found wrong without stopping anyone.
fn check(platform: &dyn Platform, writes: &[TextWrite<'_>]) -> Result<(), FenceError> {
    for &TextWrite { at, bytes } in writes.iter().filter(|write| !write.bytes.is_empty()) {
        let len = bytes.len();
        at.checked_add(len as u64 - 1)
            .ok_or(FenceError::OutOfRange { at, len })?;
        platform
            .check_text(at, len)
            .map_err(|cause| FenceError::Text { cause })?;
    }
    Ok(())
}

/// Makes room for the text below all writes but the last, which nothing can fail after.
fn reserve(writes: &[TextWrite<'_>]) -> Result<Vec<u8>, FenceError> {
    let bytes = undoable(writes).fold(0_usize, |sum, write| sum.saturating_add(write.bytes.len()));
    let mut before = Vec::new();
    before
        .try_reserve_exact(bytes)
        .map_err(|_| FenceError::OutOfMemory { bytes })?;
    before.resize(bytes, 0);
    Ok(before)
}

fn undoable<'w, 'a>(
    writes: &'w [TextWrite<'a>],
) -> impl DoubleEndedIterator<Item = &'w TextWrite<'a>> {
    writes
        .split_last()
        .map_or(&[][..], |(_last, rest)| rest)
        .iter()
}

fn save(
    platform: &dyn Platform,
    writes: &[TextWrite<'_>],
    mut before: &mut [u8],
) -> Result<(), FenceError> {
    for write in undoable(writes) {
        let (here, rest) = before.split_at_mut(write.bytes.len());
        platform
            .read_memory(write.at, here)
            .map_err(|cause| FenceError::Unreadable { cause })?;
        before = rest;
    }
    Ok(())
}

/// Writes all, or takes back what was written.
///
/// # Safety
///
/// Of [`write_fenced`], and that no other CPU executes anything but the wait in the fence.
unsafe fn apply(
    platform: &dyn Platform,
    writes: &[TextWrite<'_>],
    before: &[u8],
) -> Result<(), FenceError> {
    for (index, write) in writes.iter().enumerate() {
        if write.bytes.is_empty() {
            continue;
        }
        // SAFETY: The caller keeps what is asked for.
        if let Err(cause) = unsafe { platform.write_text(write.at, write.bytes) } {
            // SAFETY: The caller keeps what is asked for, and what was there before was meaningful.
            unsafe { take_back(platform, &writes[..index], before) }?;
            return Err(FenceError::Text { cause });
        }
    }
    Ok(())
}

/// Writes `before`, the text below `written` and more, over `written`.
///
/// # Safety
///
/// That of [`apply`].
unsafe fn take_back(
    platform: &dyn Platform,
    written: &[TextWrite<'_>],
    before: &[u8],
) -> Result<(), FenceError> {
    let mut end: usize = written.iter().map(|write| write.bytes.len()).sum();
    // Backwards, for writes that overlap: the saved text is what was there before all of them.
    for write in written.iter().rev() {
        let start = end - write.bytes.len();
        // SAFETY: The caller keeps what is asked for.
        unsafe { restore(platform, write.at, &before[start..end]) }?;
        end = start;
    }
    Ok(())
}

/// Writes `bytes` back to `at`.
///
/// # Safety
///
/// That of [`apply`].
unsafe fn restore(platform: &dyn Platform, at: HostVirt, bytes: &[u8]) -> Result<(), FenceError> {
    if bytes.is_empty() {
        return Ok(());
    }
    // SAFETY: The caller keeps what is asked for.
    unsafe { platform.write_text(at, bytes) }
        .map_err(|cause| FenceError::NotRolledBack { at, cause })
}
