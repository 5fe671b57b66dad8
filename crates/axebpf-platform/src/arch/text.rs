//! Writing text, and making it visible to instruction fetches.

use core::arch::asm;
use core::ptr::NonNull;

use aarch64_cpu::asm::barrier;

use crate::{CacheGeometry, HostVirt, Maintenance};

/// Reads the cache geometry of this CPU from `CTR_EL0`.
#[must_use]
pub fn cache_geometry() -> CacheGeometry {
    let ctr: u64;
    // SAFETY: Reads a register that never changes.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    CacheGeometry::from_ctr(ctr)
}

/// Writes `bytes` over the text at `at` through `alias`, and makes it visible to all CPUs.
///
/// Aligned instructions are stored as a whole. `alias` may be `at` itself where text is writable.
///
/// # Safety
///
/// `alias` is a writable mapping, as Normal memory, of the `bytes.len()` bytes that are mapped as text at `at`, and
/// both are equally aligned to 4. Nobody else reads or writes them meanwhile; in particular no CPU executes them.
pub unsafe fn write_text(alias: NonNull<u8>, at: HostVirt, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        // SAFETY: Less than the length, which the caller says is mapped.
        let place = unsafe { alias.add(done) };
        if at.get().wrapping_add(done as u64).is_multiple_of(4)
            && let Some(word) = bytes[done..].first_chunk()
        {
            let place = place.cast::<u32>();
            // SAFETY: Mapped and the caller's alone; `first_chunk` says that four bytes are left, and `alias` is
            // aligned as `at` is.
            unsafe { place.write_volatile(u32::from_ne_bytes(*word)) };
            done += 4;
        } else {
            // SAFETY: Mapped and the caller's alone.
            unsafe { place.write_volatile(bytes[done]) };
            done += 1;
        }
    }
    // SAFETY: Mapped, as the caller says.
    unsafe { publish_text(at, bytes.len()) };
}

/// Makes `len` bytes of text that were written at `at` visible to the instruction fetches of all CPUs.
///
/// Other CPUs still have to synchronise their context. The sequence is that of [`CacheGeometry::maintenance`].
///
/// # Safety
///
/// The range is mapped at `at`. What is written there is meaningful to whoever executes it.
pub unsafe fn publish_text(at: HostVirt, len: usize) {
    for step in cache_geometry().maintenance(at, len) {
        match step {
            // SAFETY: The line holds bytes of the range, which is mapped.
            Maintenance::CleanData(line) => unsafe {
                asm!("dc cvau, {}", in(reg) line.get(), options(nostack, preserves_flags));
            },
            // SAFETY: The line holds bytes of the range, which is mapped.
            Maintenance::InvalidateFetched(line) => unsafe {
                asm!("ic ivau, {}", in(reg) line.get(), options(nostack, preserves_flags));
            },
            // SAFETY: Changes nothing but what is fetched, which the caller has written.
            Maintenance::InvalidateAllFetched => unsafe {
                asm!("ic ialluis", options(nostack, preserves_flags));
            },
            Maintenance::Complete => barrier::dsb(barrier::ISH),
            Maintenance::Synchronize => barrier::isb(barrier::SY),
        }
    }
}
