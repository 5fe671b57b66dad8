//! How a guest's displaced instruction is executed.

use axebpf_a64::{Execution, Insn, Refusal, classify};

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
/// [`Refusal`] for what neither can be simulated nor stepped: exclusives, whose monitor a step clears, what takes or
/// returns from exceptions, and what asks for interrupts, which a step holds back.
pub(crate) fn way(word: u32) -> Result<Way, Refusal> {
    if is_of_interrupts(word) {
        return Err(Refusal::SystemRegister);
    }
    match classify(word) {
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

/// Tells whether `word` reads or writes a register of the interface to the interrupt controller, or `ISR_EL1`: what they
/// hold is another thing while interrupts are held back for a step.
fn is_of_interrupts(word: u32) -> bool {
    // MSR and MRS with op0 3, op1 0 and CRn 12 (ARM ARM C4.1.93); CRm 8 to 15, or 1.
    let is_named = word & 0xffdf_f000 == 0xd518_c000;
    is_named && (word & 1 << 11 != 0 || word >> 8 & 0xf == 1)
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
