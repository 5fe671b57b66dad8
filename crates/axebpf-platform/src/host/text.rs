//! Text of the process, and executable memory for it.
//!
//! Both are written through `/proc/self/mem`, with which the kernel writes to pages of the process whatever their
//! protection. So text never becomes writable, and the mapping stays as it was. A page of the program file is
//! copied by the first write; the file does not change.

use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::{ExecError, ExecRegion, HostVirt, TextError};

/// The unit of executable memory, in bytes.
const PAGE: usize = 4096;

/// Tells whether `len` bytes at `at` are executable. Allocates.
pub(super) fn check(at: HostVirt, len: usize) -> Result<(), TextError> {
    let maps = fs::read_to_string("/proc/self/maps").map_err(|_| TextError::Unsupported)?;
    let end = at.get().saturating_add(len as u64);
    let mut covered = at.get();
    // Sorted by address, so neighbours follow each other.
    for (start, stop) in maps.lines().filter_map(executable) {
        if start <= covered && covered < stop {
            covered = stop;
        }
    }
    if covered >= end {
        Ok(())
    } else {
        Err(TextError::NotText { at, len })
    }
}

/// Returns the addresses of an executable mapping, from its line `start-end rwxp ...` in `/proc/self/maps`.
fn executable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let is_executable = rest.as_bytes().get(2) == Some(&b'x');
    let address = |digits| u64::from_str_radix(digits, 16).ok();
    is_executable.then_some((address(start)?, address(end)?))
}

/// Writes `bytes` over the text at `at`. Allocates nothing: other threads may be stopped in the allocator.
pub(super) fn write(at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
    const MEMORY: &CStr = c"/proc/self/mem";
    let len = bytes.len();
    let offset = libc::off_t::try_from(at.get()).map_err(|_| TextError::NotText { at, len })?;
    // SAFETY: `MEMORY` is a string that ends in a zero.
    let file = unsafe { libc::open(MEMORY.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if file < 0 {
        return Err(TextError::Unsupported);
    }
    // SAFETY: `bytes` can be read. What is written to is text, which the caller of `TextPatch::write_text` vouches for,
    // and of which Rust knows no references.
    let written = unsafe { libc::pwrite(file, bytes.as_ptr().cast(), len, offset) };
    // SAFETY: `file` was just opened, and nobody else has it.
    unsafe { libc::close(file) };
    // A write to mapped pages is never cut short.
    if usize::try_from(written) == Ok(len) {
        Ok(())
    } else {
        Err(TextError::NotText { at, len })
    }
}

/// The executable memory that has been handed out.
static REGIONS: Mutex<Vec<ExecRegion>> = Mutex::new(Vec::new());

/// Maps executable memory that is not writable.
pub(super) fn alloc(len: usize) -> Result<ExecRegion, ExecError> {
    let exhausted = ExecError::Exhausted { len };
    let rounded = len.max(1).checked_next_multiple_of(PAGE);
    let len = rounded.ok_or(exhausted)?;
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: A new mapping, wherever there is room.
    let start = unsafe { libc::mmap(null_mut(), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(exhausted);
    }
    let start = HostVirt::new(start as u64);
    regions().push(ExecRegion { start, len });
    Ok(ExecRegion { start, len })
}

/// Unmaps what [`alloc`] mapped; anything else stays as it is.
pub(super) fn free(region: &ExecRegion) {
    let mut regions = regions();
    let Some(index) = regions.iter().position(|known| known == region) else {
        return;
    };
    regions.swap_remove(index);
    let start = region.start.get() as *mut c_void;
    // SAFETY: `alloc` mapped it, and nobody has unmapped it since. It is not writable, so Rust has nothing there, and
    // nothing is executed there any more, as `ExecMemory::free_exec` asks.
    let result = unsafe { libc::munmap(start, region.len) };
    debug_assert_eq!(result, 0, "a whole mapping can be unmapped");
}

fn regions() -> MutexGuard<'static, Vec<ExecRegion>> {
    REGIONS.lock().unwrap_or_else(PoisonError::into_inner)
}
