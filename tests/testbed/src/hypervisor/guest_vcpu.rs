//! What probes on a guest ask of a vCPU that has just left it, answered by this hypervisor.

use aarch64_cpu::registers::{
    CONTEXTIDR_EL1, ELR_EL1, ESR_EL1, FAR_EL1, MAIR_EL1, Readable, SCTLR_EL1, SP_EL0, SP_EL1,
    SPSR_EL1, TCR_EL1, TPIDR_EL0, TPIDR_EL1, TTBR0_EL1, TTBR1_EL1, VBAR_EL1, Writeable,
};
use axebpf::platform::Vcpu as VcpuName;
use axebpf::probe::kprobe::{
    GuestDebug, GuestVcpu, HoldInterrupts, PtRegs, SingleStep, Stage1, SwitchView, SystemRegister,
    VcpuRegisters, View as ProbeView,
};

use super::{debug_registers::Route, guest_machine::view_of, vcpu::Vcpu};

/// `PSTATE.SS`: the instruction that follows is executed before the step ends.
const STEP: u64 = 1 << 21;

/// A vCPU that is loaded on the executing CPU, with interrupts masked.
pub(crate) struct LoadedVcpu<'a>(pub(crate) &'a Vcpu);

impl VcpuRegisters for LoadedVcpu<'_> {
    fn name(&self) -> VcpuName {
        self.0.name()
    }

    fn regs(&self) -> PtRegs {
        let registers = self.0.registers();
        PtRegs {
            regs: registers.x,
            sp: if uses_own_stack(registers.pstate) {
                SP_EL1.get()
            } else {
                SP_EL0.get()
            },
            pc: registers.pc,
            pstate: registers.pstate,
        }
    }

    fn set_regs(&mut self, regs: &PtRegs) {
        let registers = self.0.registers();
        registers.x = regs.regs;
        registers.pc = regs.pc;
        registers.pstate = regs.pstate;
        if uses_own_stack(regs.pstate) {
            SP_EL1.set(regs.sp);
        } else {
            SP_EL0.set(regs.sp);
        }
    }

    fn pc(&self) -> u64 {
        self.0.pc()
    }

    fn pstate(&self) -> u64 {
        self.0.pstate()
    }

    fn resume_at(&mut self, pc: u64, pstate: u64) {
        let registers = self.0.registers();
        registers.pc = pc;
        registers.pstate = pstate;
    }

    fn stage1(&self) -> Stage1 {
        Stage1 {
            ttbr0: TTBR0_EL1.get(),
            ttbr1: TTBR1_EL1.get(),
            tcr: TCR_EL1.get(),
            sctlr: SCTLR_EL1.get(),
        }
    }

    fn system_register(&self, register: SystemRegister) -> u64 {
        match register {
            SystemRegister::Ttbr0El1 => TTBR0_EL1.get(),
            SystemRegister::Ttbr1El1 => TTBR1_EL1.get(),
            SystemRegister::TcrEl1 => TCR_EL1.get(),
            SystemRegister::MairEl1 => MAIR_EL1.get(),
            SystemRegister::SctlrEl1 => SCTLR_EL1.get(),
            SystemRegister::MdscrEl1 => self.0.debug().control(),
            SystemRegister::VbarEl1 => VBAR_EL1.get(),
            SystemRegister::ElrEl1 => ELR_EL1.get(),
            SystemRegister::SpsrEl1 => SPSR_EL1.get(),
            SystemRegister::EsrEl1 => ESR_EL1.get(),
            SystemRegister::FarEl1 => FAR_EL1.get(),
            SystemRegister::SpEl0 => SP_EL0.get(),
            SystemRegister::SpEl1 => SP_EL1.get(),
            SystemRegister::TpidrEl0 => TPIDR_EL0.get(),
            SystemRegister::TpidrEl1 => TPIDR_EL1.get(),
            SystemRegister::ContextidrEl1 => CONTEXTIDR_EL1.get(),
            _ => 0,
        }
    }

    fn set_system_register(&mut self, register: SystemRegister, value: u64) {
        match register {
            SystemRegister::Ttbr0El1 => TTBR0_EL1.set(value),
            SystemRegister::Ttbr1El1 => TTBR1_EL1.set(value),
            SystemRegister::TcrEl1 => TCR_EL1.set(value),
            SystemRegister::MairEl1 => MAIR_EL1.set(value),
            SystemRegister::SctlrEl1 => SCTLR_EL1.set(value),
            SystemRegister::MdscrEl1 => {
                self.0.debug().set_control(value);
                self.0.debug().load();
            }
            SystemRegister::VbarEl1 => VBAR_EL1.set(value),
            SystemRegister::ElrEl1 => ELR_EL1.set(value),
            SystemRegister::SpsrEl1 => SPSR_EL1.set(value),
            SystemRegister::EsrEl1 => ESR_EL1.set(value),
            SystemRegister::FarEl1 => FAR_EL1.set(value),
            SystemRegister::SpEl0 => SP_EL0.set(value),
            SystemRegister::SpEl1 => SP_EL1.set(value),
            SystemRegister::TpidrEl0 => TPIDR_EL0.set(value),
            SystemRegister::TpidrEl1 => TPIDR_EL1.set(value),
            SystemRegister::ContextidrEl1 => CONTEXTIDR_EL1.set(value),
            _ => {}
        }
    }
}

impl SingleStep for LoadedVcpu<'_> {
    fn begin_step(&mut self) {
        self.0.registers().pstate |= STEP;
        self.route(Route::Step);
    }

    fn end_step(&mut self) {
        self.0.registers().pstate &= !STEP;
        self.route(Route::Hypervisor);
    }
}

impl LoadedVcpu<'_> {
    fn route(&self, route: Route) {
        self.0.debug().set_route(route);
        self.0.debug().load();
    }
}

impl SwitchView for LoadedVcpu<'_> {
    fn set_view(&mut self, view: ProbeView) {
        if let Some(view) = view_of(view) {
            self.0.set_view(view);
        }
    }
}

impl HoldInterrupts for LoadedVcpu<'_> {
    fn hold_interrupts(&mut self) {
        self.0.hold_interrupts();
    }

    fn release_interrupts(&mut self) {
        self.0.release_interrupts();
    }
}

impl GuestDebug for LoadedVcpu<'_> {
    fn debugs_itself(&self) -> bool {
        self.0.debug().is_in_use()
    }
}

impl GuestVcpu for LoadedVcpu<'_> {
    fn single_step(&mut self) -> Option<&mut dyn SingleStep> {
        Some(self)
    }

    fn switch_view(&mut self) -> Option<&mut dyn SwitchView> {
        Some(self)
    }

    fn interrupts(&mut self) -> Option<&mut dyn HoldInterrupts> {
        Some(self)
    }

    fn guest_debug(&self) -> Option<&dyn GuestDebug> {
        Some(self)
    }
}

/// Tells whether a processor state is EL1's with a stack pointer of its own.
fn uses_own_stack(pstate: u64) -> bool {
    const EL1H: u64 = 0b0_0101;
    pstate & 0b1_1111 == EL1H
}
