//! Exceptions that EL2 delivers to a guest's EL1, as the processor would take them (ARM ARM D1.3.5,
//! AArch64.TakeException).

use aarch64_cpu::registers::{
    ELR_EL1, ESR_EL1, FAR_EL1, ID_AA64MMFR1_EL1, Readable, SCTLR_EL1, SPSR_EL1, VBAR_EL1, Writeable,
};

use super::vcpu::Vcpu;

/// The instruction had 32 bits.
const LONG_INSTRUCTION: u64 = 1 << 25;

/// A synchronous exception of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exception {
    /// The instruction is undefined.
    Undefined,
    /// The access reached nothing that answers.
    ExternalAbort {
        /// The syndrome with which it came to EL2.
        syndrome: u64,
        /// The virtual address, if the processor knows it.
        address: Option<u64>,
        /// What was attempted when nothing answered.
        source: Source,
    },
}

/// What an abort is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The access itself.
    Access,
    /// The guest's table of this level, -1 to 3, on the way to the address.
    Walk(i8),
}

/// Makes the loaded `vcpu` take `exception` where it left its guest. Only the vCPU's own task may call this.
pub(crate) fn deliver(vcpu: &Vcpu, exception: Exception) {
    let pstate = vcpu.pstate();
    let from_el0 = pstate & 0xf == 0;
    let syndrome = match exception {
        Exception::Undefined => LONG_INSTRUCTION,
        Exception::ExternalAbort {
            syndrome,
            address,
            source,
        } => {
            if let Some(address) = address {
                FAR_EL1.set(address);
            }
            external_abort(syndrome, source, from_el0)
        }
    };
    ESR_EL1.set(syndrome);
    ELR_EL1.set(vcpu.pc());
    SPSR_EL1.set(pstate);
    // The guest may have put anything into the register, whose low bits the processor does not look at.
    const OFFSET: u64 = 0x7ff;
    let vectors = VBAR_EL1.get() & !OFFSET;
    vcpu.go_on_at(vectors | vector(pstate), handler_state(pstate));
}

/// Returns the syndrome at EL1 of an abort that came to EL2 with `syndrome`.
fn external_abort(syndrome: u64, source: Source, from_el0: bool) -> u64 {
    const CLASS: u64 = 0x3f << 26;
    const SAME_LEVEL: u64 = 1 << 26;
    const WRITE: u64 = 1 << 6;
    // Fault status codes (ARM ARM D24.2.40): that of level 0 of a walk, from which the levels count, and another one.
    const ON_WALK: u64 = 0x14;
    const EXTERNAL: u64 = 0x10;
    // The address is valid but for the last of these codes.
    const NOT_VALID: u64 = 1 << 10;
    let status = match source {
        Source::Walk(level) => ON_WALK.wrapping_add_signed(level.into()),
        Source::Access => EXTERNAL | syndrome & NOT_VALID,
    };
    let class = syndrome & CLASS & !SAME_LEVEL | if from_el0 { 0 } else { SAME_LEVEL };
    class | syndrome & WRITE | LONG_INSTRUCTION | status
}

/// Returns the offset of the vector for synchronous exceptions from `pstate`.
fn vector(pstate: u64) -> u64 {
    const AARCH32: u64 = 1 << 4;
    const LEVEL: u64 = 3 << 2;
    const OWN_STACK: u64 = 1;
    if pstate & AARCH32 != 0 {
        0x600
    } else if pstate & LEVEL == 0 {
        0x400
    } else if pstate & OWN_STACK != 0 {
        0x200
    } else {
        0x000
    }
}

/// Returns the state in which a handler starts: EL1 on its own stack, all masked, and what the exception leaves alone.
fn handler_state(pstate: u64) -> u64 {
    const EL1_MASKED: u64 = 0x3c5;
    const CONDITION_FLAGS: u64 = 0xf << 28;
    const DIT: u64 = 1 << 24;
    const PAN: u64 = 1 << 22;
    const SSBS: u64 = 1 << 12;
    // Controls of the guest: keep PAN as it is, and what SSBS becomes.
    const SCTLR_SPAN: u64 = 1 << 23;
    const SCTLR_DSSBS: u64 = 1 << 44;
    let control = SCTLR_EL1.get();
    let has_pan = ID_AA64MMFR1_EL1.read(ID_AA64MMFR1_EL1::PAN) != 0;
    let sets_pan = has_pan && control & SCTLR_SPAN == 0;
    let mut state = EL1_MASKED | pstate & (CONDITION_FLAGS | DIT | PAN);
    if sets_pan {
        state |= PAN;
    }
    if control & SCTLR_DSSBS != 0 {
        state |= SSBS;
    }
    state
}
