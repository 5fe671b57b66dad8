//! Time, interrupts and context of the executing CPU.

use core::arch::asm;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};

use crate::{InterruptState, ticks_to_ns};

/// Returns the nanoseconds that the physical counter, `CNTPCT_EL0`, has counted since it started.
///
/// The counter is one for all CPUs, and no guest's offset moves it at EL2.
#[must_use]
pub fn now_ns() -> u64 {
    // The counter may be read ahead of what precedes it; time would then run backwards for an observer.
    barrier::isb(barrier::SY);
    let hz = CNTFRQ_EL0.get() as u32;
    ticks_to_ns(CNTPCT_EL0.get(), hz)
}

/// Masks SError, IRQ and FIQ on this CPU, and returns which were masked before.
#[must_use = "who masks has to restore"]
pub fn mask_interrupts() -> InterruptState {
    let before: u64;
    // SAFETY: Reads and sets mask bits. Not `nomem`: accesses that follow must not move ahead of the mask.
    unsafe {
        asm!("mrs {}, daif", "msr daifset, #0b0111", out(reg) before, options(nostack, preserves_flags))
    };
    InterruptState(before)
}

/// Puts back the mask that [`mask_interrupts`] found on this CPU.
pub fn restore_interrupts(state: InterruptState) {
    // SAFETY: Sets mask bits, to what they were. Not `nomem`: accesses that precede must not move behind it.
    unsafe { asm!("msr daif, {}", in(reg) state.0, options(nostack, preserves_flags)) };
}

/// Makes this CPU fetch anew what it executes next: `ISB`.
pub fn synchronize_context() {
    barrier::isb(barrier::SY);
}
