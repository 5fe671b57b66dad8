//! The few processor operations that `aarch64-cpu` does not have.

use core::arch::asm;

/// What was masked before [`mask_interrupts`].
#[derive(Clone, Copy)]
pub(crate) struct DaifState(u64);

impl DaifState {
    /// Everything masked, as on exception entry.
    pub(crate) const MASKED: Self = Self(0xf << 6);
}

/// Masks interrupts and returns what was masked before.
pub(crate) fn mask_interrupts() -> DaifState {
    let daif: u64;
    // SAFETY: reading DAIF has no effect.
    unsafe { asm!("mrs {}, daif", out(reg) daif, options(nostack, preserves_flags)) };
    // SAFETY: to mask interrupts is always allowed.
    unsafe { asm!("msr daifset, #2", options(nostack, preserves_flags)) };
    DaifState(daif)
}

/// Puts back what [`mask_interrupts`] returned.
pub(crate) fn restore_interrupts(state: DaifState) {
    // SAFETY: the state is one in which the executing code ran before.
    unsafe { asm!("msr daif, {}", in(reg) state.0, options(nostack, preserves_flags)) }
}

/// Lets interrupts through.
pub(crate) fn unmask_interrupts() {
    // SAFETY: the vectors are set before any code calls this, and no code relies on interrupts being masked
    // without masking them itself.
    unsafe { asm!("msr daifclr, #2", options(nostack, preserves_flags)) }
}

/// Sleeps until an interrupt is pending, masked or not.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: waiting has no other effect.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
}

/// Waits until all earlier memory accesses are visible to the inner shareable domain.
pub(crate) fn data_barrier() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) }
}

/// Orders all earlier memory accesses, and maintenance of caches and TLBs, before all later ones.
pub(crate) fn full_barrier() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Synchronises the context of the executing CPU.
pub(crate) fn context_barrier() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("isb", options(nostack, preserves_flags)) }
}

/// Says what a guest reads as `MIDR_EL1`.
pub(crate) fn set_virtual_processor_id(id: u64) {
    // SAFETY: the register only changes what guests read.
    unsafe { asm!("msr vpidr_el2, {}", in(reg) id, options(nostack, preserves_flags)) }
}
