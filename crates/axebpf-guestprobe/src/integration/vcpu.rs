//! What a vCPU offers that has just left the guest.

use axebpf_a64::PtRegs;
use axebpf_platform::Vcpu;

use crate::{Stage1, View};

/// A system register of EL1 or EL0, as the guest has it.
///
/// At a host that runs with `HCR_EL2.E2H` these are the `_EL12` and `_EL02` forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "they are named like the registers")]
pub enum SystemRegister {
    Ttbr0El1,
    Ttbr1El1,
    TcrEl1,
    MairEl1,
    SctlrEl1,
    /// The guest's own value, whatever is loaded because of a step.
    MdscrEl1,
    VbarEl1,
    ElrEl1,
    SpsrEl1,
    EsrEl1,
    FarEl1,
    SpEl0,
    SpEl1,
    TpidrEl0,
    TpidrEl1,
    ContextidrEl1,
}

/// Gives access to the registers of a vCPU.
///
/// It has left the guest, or is about to enter it: [`prepare_entry`](crate::ProbedGuest::prepare_entry) gets it when
/// [`KickVcpus`](crate::KickVcpus) takes it for one that is in the guest already. None of these functions waits for
/// another vCPU.
pub trait VcpuRegisters {
    /// Returns which vCPU this is.
    fn name(&self) -> Vcpu;

    /// Returns the general registers, the stack pointer that the interrupted code uses (`SP_EL0` or `SP_EL1`, by the
    /// low five bits of its processor state), the address at which it goes on (`ELR_EL2`), and its processor state
    /// (`SPSR_EL2`).
    fn regs(&self) -> PtRegs;

    /// Makes the guest go on with `regs`. The processor state is written first: it decides which stack pointer is
    /// meant.
    fn set_regs(&mut self, regs: &PtRegs);

    /// Returns where the guest goes on, which [`regs`](Self::regs) has too. Called for every entry.
    fn pc(&self) -> u64 {
        self.regs().pc
    }

    /// Returns its processor state, which [`regs`](Self::regs) has too. Called for every entry.
    fn pstate(&self) -> u64 {
        self.regs().pstate
    }

    /// Makes the guest go on at `pc` with the processor state `pstate`, and with all other registers as they are.
    ///
    /// `pstate` is of the exception level and the stack pointer that the vCPU is at. Called for every hit on an
    /// instruction that does no more than this, such as `NOP`, `BTI` and branches.
    fn resume_at(&mut self, pc: u64, pstate: u64) {
        let regs = self.regs();
        self.set_regs(&PtRegs { pc, pstate, ..regs });
    }

    /// Returns how the vCPU translates addresses, which [`system_register`](Self::system_register) says, too. Called
    /// for every hit.
    fn stage1(&self) -> Stage1 {
        Stage1 {
            ttbr0: self.system_register(SystemRegister::Ttbr0El1),
            ttbr1: self.system_register(SystemRegister::Ttbr1El1),
            tcr: self.system_register(SystemRegister::TcrEl1),
            sctlr: self.system_register(SystemRegister::SctlrEl1),
        }
    }

    /// Returns the value of `register`.
    fn system_register(&self, register: SystemRegister) -> u64;

    /// Sets `register`.
    fn set_system_register(&mut self, register: SystemRegister, value: u64);
}

/// Makes a vCPU execute one instruction.
pub trait SingleStep {
    /// From the next entry on, has the guest execute one instruction and leave with exception class 0x32.
    ///
    /// `MDCR_EL2.TDE` and `MDSCR_EL1.SS` are set and `SPSR_EL2.SS` is set at the next entry; the OS lock is clear. It
    /// stays so over exits and entries until [`end_step`](Self::end_step): the processor clears `SPSR_EL2.SS` when it
    /// has executed the instruction, and keeps it when the instruction has to be tried again.
    ///
    /// `MDCR_EL2.TDE` traps the guest's accesses to `MDSCR_EL1` and all other debug registers for as long. The stepped
    /// instruction may be one: the hypervisor executes it on the guest's own values, as it always has to, and the step
    /// is complete.
    fn begin_step(&mut self);

    /// Puts the state back that the guest had: its `MDSCR_EL1`, and `SPSR_EL2.SS` clear.
    fn end_step(&mut self);
}

/// Chooses the stage-2 translation of a vCPU.
pub trait SwitchView {
    /// Makes the vCPU run in `view` from the next entry on, with nothing in the TLB that was cached in another one.
    ///
    /// All views have the VMID of the VM ([`View`] says why), so the executing CPU drops what it has cached under it:
    /// `VTTBR_EL2` is written with that VMID and tables that map nothing; `ISB`, so that no walk starts from the old
    /// tables, and `TLBI` takes the right VMID; `TLBI VMALLS12E1`, for this CPU alone; `DSB NSH`, which waits for it;
    /// `ISB`; `VTTBR_EL2` is written with the tables of the view; `ISB`, or the exception return. No `IS` form is
    /// needed: while `VTTBR_EL2.CnP` is 0, nobody else uses what this CPU has cached. To be skipped only if the vCPU is
    /// in the view already.
    ///
    /// The same has to happen where the hypervisor loads a vCPU on a CPU that has run another one of the VM, or the
    /// same one in another view, since it last ran this one: a CPU remembers for each VM which vCPU it ran last, and in
    /// which view. If that was another vCPU, `IC IALLU` belongs to it. Between vCPUs of different VMs, `VTTBR_EL2` has
    /// tables that map nothing while EL1 registers are exchanged.
    fn set_view(&mut self, view: View);
}

/// Keeps virtual interrupts from a vCPU.
pub trait HoldInterrupts {
    /// Makes the guest take no virtual interrupt from the next entry on, without it being visible to the guest: with
    /// a vGIC, `ICH_HCR_EL2.En` is clear. None is lost.
    ///
    /// Called only where the guest masks none itself, so that it cannot be about to ask which interrupt is pending:
    /// the answer would be that none is.
    fn hold_interrupts(&mut self);

    /// Ends [`hold_interrupts`](Self::hold_interrupts).
    fn release_interrupts(&mut self);
}

/// Tells what a guest does with its own debug registers.
pub trait GuestDebug {
    /// Tells whether the guest's own `MDSCR_EL1` has `SS`, `KDE` or `MDE` set, so that the vCPU runs with its own
    /// debug registers and without `MDCR_EL2.TDE`. Probes that need that bit are suspended on this vCPU for as long.
    fn debugs_itself(&self) -> bool;
}

/// A vCPU that has left the guest and is still loaded on the executing CPU.
///
/// What the methods hand out is what [`GuestMachine::vcpu_capabilities`](crate::GuestMachine::vcpu_capabilities)
/// promised.
pub trait GuestVcpu: VcpuRegisters {
    /// Returns the way to step it, if there is one.
    fn single_step(&mut self) -> Option<&mut dyn SingleStep> {
        None
    }

    /// Returns the way to switch its view, if there is one.
    fn switch_view(&mut self) -> Option<&mut dyn SwitchView> {
        None
    }

    /// Returns the way to hold its interrupts, if there is one.
    fn interrupts(&mut self) -> Option<&mut dyn HoldInterrupts> {
        None
    }

    /// Returns what is known of its own debugging, if the guest can debug itself at all.
    fn guest_debug(&self) -> Option<&dyn GuestDebug> {
        None
    }
}
