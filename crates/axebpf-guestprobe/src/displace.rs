//! How a guest's displaced instruction is executed.
//!
//! What is not simulated is stepped: the guest executes it itself, at its own place, with its own registers, in a
//! view in which the text is its own. What differs from an execution without a probe is what a step changes, and for
//! each of these it is said here why it makes no difference, or what is done about it:
//!
//! | a step | so |
//! |---|---|
//! | clears the exclusive monitor | exclusives, and places between them, are refused |
//! | ends with an exception, which sets the event register | `WFE` may go on without waiting, as it always may |
//! | holds virtual interrupts, where the guest has `I` and `F` open | what reads pending interrupts (`ISR_EL1`, `ICC_IAR*`, a `GICC_IAR` in memory) does so with them masked, and sees them; with them open, nothing is pending that was not taken. `WFI` and `WFE` are never held: see [`waits`] |
//! | sets `MDSCR_EL1.SS` and traps debug registers (`MDCR_EL2.TDE` implies `TDA`, `TDOSA` and `TDRA`) | the hypervisor answers for `MDSCR_EL1`, `OSLAR_EL1`, `DBG*` with the guest's own values; see [`SingleStep`](crate::SingleStep) |
//! | sets `PSTATE.SS`, which only an exception's `SPSR_EL1` shows | it is cleared there when the step ends; what generates exceptions or returns from one is refused |
//! | comes and goes by exceptions, which synchronise the context | instructions may find that done at any time |
//! | uses another stage-2 view, under the same VMID | `TLBI` is for all views. `AT` walks the same stage 1. `IC` and `DC` reach the memory that is executed or written where nothing is hidden, and writing ends the hiding |
//! | takes time, and is counted by performance monitors | counters and timers say what they say |
//!
//! Writes of `DAIF`, `SPSel`, `PAN` and the like, of `SCTLR_EL1`, `TTBR0_EL1`, `VBAR_EL1`, `ELR_EL1` and `SPSR_EL1` are the
//! guest's own and stay, because the step is an exception to EL2 and uses none of them. `CPY*` and `SET*` go on where they were
//! after an exception. What is unallocated is undefined there, too, and the guest takes that exception.

use axebpf_a64::{Execution, Insn, Refusal, StateField, classify};

/// A way to execute a displaced instruction of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// At EL2, on the guest's registers and memory.
    Simulate(Insn),
    /// By the guest itself, in one step, at its own place.
    Step,
}

/// Returns how `word` can be executed.
///
/// A step executes it where it belongs, so what depends on its place or on system registers is possible, other than
/// for a probe of the hypervisor. Not possible is what a step itself disturbs.
///
/// # Errors
///
/// [`Refusal`] for what neither can be simulated nor stepped: exclusives, whose monitor a step clears, and what takes or
/// returns from exceptions.
pub(crate) fn way(word: u32) -> Result<Way, Refusal> {
    match classify(word) {
        // On a processor that lacks it, reading is undefined.
        Ok(Execution::Simulate(Insn::ReadState { field, .. })) if is_optional(field) => {
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

/// Tells whether there are processors of Armv8.0 without a part of the processor state.
fn is_optional(field: StateField) -> bool {
    !matches!(
        field,
        StateField::Nzcv | StateField::Daif | StateField::CurrentEl | StateField::SpSel
    )
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
