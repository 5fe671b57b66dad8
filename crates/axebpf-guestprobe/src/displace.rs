//! How a guest's displaced instruction is executed.
//!
//! What is not simulated is stepped: the guest executes it itself, at its own place, with its own registers, in a
//! view in which the text is its own. What could differ from an execution without a probe is what a step changes:
//!
//! - It clears the exclusive monitor. Exclusives, and places between them, are refused.
//! - Its `PSTATE.SS` shows in the `SPSR_EL1` of an exception, and is cleared there when the step ends. What generates
//!   an exception, or returns from one, is refused.
//! - It holds virtual interrupts, but only where the guest has `I` and `F` open. What asks which interrupt is pending
//!   (`ISR_EL1`, `ICC_IAR1_EL1`, a `GICC_IAR` in memory) does so with them masked, and is answered; with them open,
//!   what is pending would have been taken before. What [`waits`] is never stepped with interrupts held.
//! - It sets `MDSCR_EL1.SS`, and with `MDCR_EL2.TDE` traps all debug registers (`MDSCR_EL1`, `OSLAR_EL1`,
//!   `DBGBVR0_EL1`). The hypervisor answers for them with the guest's own values: see
//!   [`SingleStep`](crate::SingleStep).
//! - It is surrounded by exceptions. They synchronise the context, which may happen at any time, and set the event
//!   register, so that `WFE` does not wait, as it need not.
//! - It uses another view. All views of a VM have one VMID, so `TLBI` is for all of them. `AT` walks the same tables.
//!   The text that `IC` and `DC` are to maintain is the guest's own memory there: a page that it has written is open.
//! - It takes time, which counters, timers and performance monitors show as they show any exit.
//!
//! Writes of `DAIF`, `SPSel`, `PAN` and the like, of `SCTLR_EL1`, `TTBR0_EL1`, `VBAR_EL1`, `ELR_EL1` and `SPSR_EL1`
//! take effect and stay, because a step is an exception to EL2, which uses none of them. `CPY*` and `SET*` go on where
//! they were after an exception. What is unallocated is undefined there, too, and the guest takes that exception.

use axebpf_a64::{Execution, Insn, Refusal, classify};

/// A way to execute a displaced instruction of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At EL2, on the guest's registers and memory. An access to memory that only the guest itself can do right, or
    /// that faults, is stepped after all.
    Simulate(Insn),
    /// By the guest itself, in one step, at its own place. That costs two exits instead of one, and the hypervisor has
    /// to offer steps: [`Capabilities::can_step`](crate::Capabilities::can_step).
    Step,
}

/// Returns how `word` can be executed.
///
/// A step executes it where it belongs, so what depends on its place or on system registers is possible, other than
/// for a probe of the hypervisor. Not possible is what a step itself disturbs.
///
/// # Errors
///
/// [`Refusal`] for what neither can be simulated nor stepped: exclusives, whose monitor a step clears, and what takes
/// or returns from exceptions.
pub(crate) fn way(word: u32) -> Result<Way, Refusal> {
    match classify(word) {
        // On a processor that lacks it, reading is undefined.
        Ok(Execution::Simulate(Insn::ReadState { field, .. })) if field.is_optional() => {
            Ok(Way::Step)
        }
        Ok(Execution::Simulate(insn)) => Ok(Way::Simulate(insn)),
        Ok(_) => Ok(Way::Step),
        Err(
            why @ (Refusal::Exclusive
            | Refusal::Exception
            | Refusal::ExceptionReturn
            | Refusal::Unpredictable),
        ) => Err(why),
        Err(_) => Ok(Way::Step),
    }
}

/// Tells whether `word` waits for an interrupt or an event: `WFE`, `WFI`, `WFET`, `WFIT`.
///
/// Where the hypervisor does not trap it, it is not woken by interrupts that are held.
pub(crate) fn waits(word: u32) -> bool {
    matches!(word, 0xd503_205f | 0xd503_207f) || word & 0xffff_ffc0 == 0xd503_1000
}

/// Tells whether an indirect branch may go to `word` in a guarded page: `BTI` with an operand, `PACIASP`, `PACIBSP`.
pub(crate) fn is_landing_pad(word: u32) -> bool {
    matches!(
        word,
        0xd503_245f | 0xd503_249f | 0xd503_24df | 0xd503_233f | 0xd503_237f
    )
}

/// Tells whether `word` is a load exclusive, which a step would make vain.
pub(crate) fn is_exclusive(word: u32) -> bool {
    matches!(classify(word), Err(Refusal::Exclusive))
}
