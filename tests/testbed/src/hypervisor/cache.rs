//! Cache maintenance for memory that a guest sees with its own caches off.

use core::{arch::asm, ops::Range};

/// The smallest cache line of any CPU that the testbed runs on.
const LINE: usize = 64;

/// Writes `range` back to memory, and makes instruction fetches see it.
///
/// A guest starts with its MMU off and then fetches and reads past the caches.
pub(crate) fn clean(range: Range<u64>) {
    for line in range.step_by(LINE) {
        // SAFETY: cleaning a line of mapped memory changes no value.
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags)) }
    }
    // SAFETY: invalidating instruction caches changes no value.
    unsafe {
        asm!(
            "dsb ish",
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}
