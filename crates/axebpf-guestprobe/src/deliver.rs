//! Delivering an exception to a guest's kernel, as the processor would.

use axebpf_a64::PtRegs;

use crate::integration::{GuestVcpu, Syndrome, SystemRegister};

/// An exception that the guest's kernel takes at the instruction at which the guest goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// What the guest finds in `ESR_EL1`.
    pub(crate) esr: u64,
    /// What it finds in `FAR_EL1`, which stays as it is otherwise.
    pub(crate) far: Option<u64>,
}

// Exception classes (ARM ARM D24.2.40). For faults and debug exceptions other than `BRK` the next number is the one for
// an exception that is taken without a change of exception level.
const STEP: u64 = 0x32;
const BREAKPOINT: u64 = 0x30;
const WATCHPOINT: u64 = 0x34;

const EL_MASK: u64 = 0b1100;
const EL1: u64 = 0b0100;
const EL1H: u64 = 0b0101;
const AARCH32: u64 = 1 << 4;
const DAIF: u64 = 0xf << 6;
const ALLINT: u64 = 1 << 13;
const BTYPE: u64 = 0b11 << 10;
const SSBS: u64 = 1 << 12;
/// `PSTATE.IL`: the state is one that there is not.
pub(crate) const IL: u64 = 1 << 20;
pub(crate) const SS: u64 = 1 << 21;
const PAN: u64 = 1 << 22;
const UAO: u64 = 1 << 23;
const TCO: u64 = 1 << 25;
/// `SCTLR_EL1.SPAN`.
const SPAN: u64 = 1 << 23;
/// `SCTLR_EL1.DSSBS`.
const DSSBS: u64 = 1 << 44;
/// `SCTLR_EL1.SPINTMASK`.
const SPINTMASK: u64 = 1 << 62;

/// Tells whether a processor state is one of the guest's kernel.
pub(crate) fn is_kernel(pstate: u64) -> bool {
    pstate & (EL_MASK | AARCH32) == EL1
}

/// Tells whether a processor state is one of a program of the guest's, in either execution state.
pub(crate) fn is_user(pstate: u64) -> bool {
    pstate & 0xf == 0
}

/// Delivers a debug exception to the guest that came to EL2 only because of `MDCR_EL2.TDE`: `BRK`, a software step, a
/// breakpoint or a watchpoint that is the guest's own.
///
/// For exits of which [`handle_exit`](crate::ProbedGuest::handle_exit) said [`NotOurs`](crate::Outcome::NotOurs). The
/// guest's kernel finds in its registers what it would have found without a hypervisor (ARM ARM D1.3.5), and goes on
/// at its vector. Anything else in `syndrome` than a debug exception is not known here and is delivered as it is,
/// too.
pub fn deliver_brk(vcpu: &mut dyn GuestVcpu, syndrome: &Syndrome) {
    let class = syndrome.esr >> 26 & 0x3f;
    let from_kernel = is_kernel(vcpu.regs().pstate);
    let own_level = matches!(class, STEP | BREAKPOINT | WATCHPOINT) && from_kernel;
    let exception = Exception {
        esr: syndrome.esr + (u64::from(own_level) << 26),
        far: (class == WATCHPOINT).then_some(syndrome.far),
    };
    take(vcpu, exception);
}

/// Makes the guest go on at its vector for `exception`.
pub(crate) fn take(vcpu: &mut dyn GuestVcpu, exception: Exception) {
    let regs = vcpu.regs();
    let sctlr = vcpu.system_register(SystemRegister::SctlrEl1);
    let vectors = vcpu.system_register(SystemRegister::VbarEl1);
    let handler = PtRegs {
        pc: (vectors & !0x7ff).wrapping_add(vector_offset(regs.pstate)),
        pstate: entry_state(regs.pstate, sctlr),
        sp: if regs.pstate & 0b1_1111 == EL1H {
            regs.sp
        } else {
            vcpu.system_register(SystemRegister::SpEl1)
        },
        ..regs
    };
    vcpu.set_system_register(SystemRegister::ElrEl1, regs.pc);
    vcpu.set_system_register(SystemRegister::SpsrEl1, regs.pstate & !SS);
    vcpu.set_system_register(SystemRegister::EsrEl1, exception.esr);
    if let Some(far) = exception.far {
        vcpu.set_system_register(SystemRegister::FarEl1, far);
    }
    vcpu.set_regs(&handler);
}

/// Returns where the vector of a synchronous exception lies that is taken to EL1 from `pstate` (ARM ARM D1.3.1.2).
fn vector_offset(pstate: u64) -> u64 {
    match pstate & 0b1_1111 {
        EL1H => 0x200,
        EL1 => 0,
        state if state & AARCH32 != 0 => 0x600,
        _ => 0x400,
    }
}

/// Returns the processor state right after an exception from `pstate` was taken to EL1 (ARM ARM D1.3.1.4).
fn entry_state(pstate: u64, sctlr: u64) -> u64 {
    let cleared = 0b1_1111 | BTYPE | SSBS | ALLINT | IL | SS | UAO;
    let mut state = pstate & !cleared | EL1H | DAIF | TCO;
    if sctlr & SPAN == 0 {
        state |= PAN;
    }
    if sctlr & DSSBS != 0 {
        state |= SSBS;
    }
    // On a processor without `FEAT_NMI` there is no such bit, and the exception return ignores it.
    if sctlr & SPINTMASK == 0 {
        state |= ALLINT;
    }
    state
}
