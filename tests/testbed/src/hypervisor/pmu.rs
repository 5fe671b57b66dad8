//! Counting the instructions that EL2 executes, with the performance monitors.
//!
//! QEMU counts instructions only with `-icount`; then the count is exact and the same in every run.

use core::arch::asm;

use super::sysreg;

/// The event number of "instruction architecturally executed" (ARM ARM D13.11).
const INSTRUCTIONS: u64 = 0x08;

/// Returns how many event counters there are.
pub(crate) fn counters() -> u64 {
    let control: u64;
    // SAFETY: reading the register has no effect.
    unsafe { asm!("mrs {}, pmcr_el0", out(reg) control, options(nomem, nostack, preserves_flags)) };
    control >> 11 & 0x1f
}

/// Tells whether this CPU can count instructions: whether PMCEID0_EL0 lists the event, and there is a counter.
pub(crate) fn counts_instructions() -> bool {
    let events: u64;
    // SAFETY: reading the register has no effect.
    unsafe {
        asm!("mrs {}, pmceid0_el0", out(reg) events, options(nomem, nostack, preserves_flags))
    };
    events >> INSTRUCTIONS & 1 == 1 && counters() > 0
}

/// Starts counting the instructions of EL2 on the executing CPU.
pub(crate) fn start() {
    // Not of EL1, not of EL0, but of EL2 (NSH).
    const EL2_ONLY: u64 = 1 << 31 | 1 << 30 | 1 << 27;
    // SAFETY: the performance monitors are the hypervisor's own, and counting changes nothing else.
    unsafe {
        asm!(
            "msr pmevtyper0_el0, {event}",
            "msr pmevcntr0_el0, xzr",
            "msr pmcntenset_el0, {one}",
            "mrs {control}, pmcr_el0",
            "orr {control}, {control}, #1",
            "msr pmcr_el0, {control}",
            "isb",
            event = in(reg) INSTRUCTIONS | EL2_ONLY,
            one = in(reg) 1_u64,
            control = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// Returns how many instructions were counted since [`start`].
#[inline(always)]
pub(crate) fn read() -> u64 {
    let count: u64;
    // SAFETY: reading the counter has no effect; the barriers put the reading in its place.
    unsafe {
        asm!("isb", "mrs {}, pmevcntr0_el0", "isb", out(reg) count, options(nostack, preserves_flags))
    };
    count
}

/// Returns how many instructions lie between two readings. The counter has 32 bits.
pub(crate) fn since(before: u64, after: u64) -> u64 {
    after.wrapping_sub(before) & 0xffff_ffff
}

/// Counts the instructions of a call of `work`, those of the counting included, with interrupts masked.
///
/// Returns the least of a few calls, the first ones of which do what is done only once.
pub(crate) fn count(work: extern "C" fn(u64) -> u64) -> u64 {
    const CALLS: u64 = 8;
    let daif = sysreg::mask_interrupts();
    let mut least = u64::MAX;
    for argument in 0..CALLS {
        let before = read();
        let result = work(argument);
        let after = read();
        core::hint::black_box(result);
        least = least.min(since(before, after));
    }
    sysreg::restore_interrupts(daif);
    least
}
