//! Why a guest was left, and what is done about it.

use aarch64_cpu::registers::{Readable, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1};
use axebpf::platform::{EXIT_REASON_IRQ, GuestPhys, GuestVirt};
use axebpf::probe::kprobe::{Access as ProbeAccess, Stage1, Syndrome, WalkProblem, deliver_brk};
use axebpf::tracepoint::{trace, vmm};

use super::{
    bench,
    bus::{self, Target},
    config::Probes,
    console::println,
    exception::{self, Exception, Source},
    guest_vcpu::LoadedVcpu,
    hypercall,
    mmio::{Access, AccessKind},
    sysreg, system_registers,
    vcpu::Vcpu,
    vm::Vm,
    vm_state::StopReason,
};

// Exception classes (ARM ARM D24.2.40).
const UNKNOWN: u64 = 0x00;
const WAIT: u64 = 0x01;
const FLOATING_POINT: u64 = 0x07;
const POINTER_AUTHENTICATION: u64 = 0x09;
const HVC: u64 = 0x16;
const SMC: u64 = 0x17;
const SYSTEM_REGISTER: u64 = 0x18;
const SVE: u64 = 0x19;
const SME: u64 = 0x1d;
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
const STEP: u64 = 0x32;
const BREAKPOINT_INSTRUCTION: u64 = 0x3c;

/// Why a vCPU left the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A physical interrupt.
    Interrupt,
    /// Something that the guest did, with the syndrome of it.
    Synchronous(u64),
    /// A system error.
    SystemError,
    /// Something that the guest did because of a probe, and that has been handled.
    Probe,
}

impl Exit {
    /// Returns the reason as `axebpf::platform` numbers it: the exception class, or [`EXIT_REASON_IRQ`].
    pub(crate) fn reason(self) -> u32 {
        const SYSTEM_ERROR: u32 = 0x2f;
        match self {
            Self::Interrupt => EXIT_REASON_IRQ,
            Self::Synchronous(esr) => (esr >> 26 & 0x3f) as u32,
            Self::SystemError => SYSTEM_ERROR,
            // Reasons are asked for before probes handle anything.
            Self::Probe => EXIT_REASON_IRQ,
        }
    }

    /// Returns the syndrome, or 0 where there is none.
    pub(crate) fn syndrome(self) -> u64 {
        match self {
            Self::Synchronous(esr) => esr,
            Self::Interrupt | Self::SystemError | Self::Probe => 0,
        }
    }

    /// Tells whether an access to memory failed.
    pub(crate) fn is_abort(self) -> bool {
        const INSTRUCTION_ABORT: u32 = 0x20;
        const DATA_ABORT: u32 = 0x24;
        matches!(self.reason(), INSTRUCTION_ABORT | DATA_ABORT)
    }
}

/// Handles `exit` of `vcpu`.
///
/// Not inlined, so that there is a function to probe.
#[inline(never)]
pub(crate) fn handle(vm: &Vm, vcpu: &Vcpu, exit: Exit) {
    let esr = match exit {
        // `Vcpu::run` has handled these already.
        Exit::Interrupt | Exit::Probe => return,
        Exit::SystemError => return give_up(vm, vcpu, "system error", 0),
        Exit::Synchronous(esr) => esr,
    };
    match esr >> 26 & 0x3f {
        WAIT => wait(vm, vcpu),
        HVC if esr as u16 == bench::NOTHING => {}
        HVC => hypercall::handle(vm, vcpu),
        SMC => {
            // Unlike HVC, a trapped SMC leaves the guest at the instruction.
            vcpu.skip_instruction();
            hypercall::handle(vm, vcpu);
        }
        SYSTEM_REGISTER => system_registers::access(vm, vcpu, esr),
        // What the guest does not have, by what it reads in its ID registers.
        UNKNOWN | FLOATING_POINT | POINTER_AUTHENTICATION | SVE | SME => {
            exception::deliver(vcpu, Exception::Undefined);
        }
        // Debug exceptions that come here although they are the guest's.
        STEP | BREAKPOINT_INSTRUCTION => hand_on(vcpu, esr),
        INSTRUCTION_ABORT | DATA_ABORT => abort(vm, vcpu, esr),
        _ => give_up(vm, vcpu, "exit", esr),
    }
}

/// Delivers a debug exception that came to EL2 only because probes need it to.
fn hand_on(vcpu: &Vcpu, esr: u64) {
    let daif = sysreg::mask_interrupts();
    let registers = vcpu.registers();
    let syndrome = Syndrome {
        esr,
        far: registers.far,
        hpfar: registers.hpfar,
    };
    deliver_brk(&mut LoadedVcpu(vcpu), &syndrome);
    sysreg::restore_interrupts(daif);
}

fn wait(vm: &Vm, vcpu: &Vcpu) {
    vcpu.skip_instruction();
    vcpu.halt(|| vm.is_stopping());
}

fn abort(vm: &Vm, vcpu: &Vcpu, esr: u64) {
    // Only what the processor says itself: for an access that lacks the right, `HPFAR_EL2` may be of some older fault,
    // and what the guest has written to its text would go to a device.
    let Some(at) = vcpu.fault_address() else {
        return refused(vm, vcpu, esr);
    };
    if is_permission_fault(esr) {
        refused(vm, vcpu, esr);
    } else if let Some(target) = bus::target(vm, at).filter(|_| !is_on_walk(esr)) {
        // A device is no place for translation tables.
        access_device(vm, vcpu, Device { target, at }, esr);
    } else if vm.memory().contains(&at) {
        page_fault(vm, vcpu, at, esr);
    } else {
        trace_fault(vcpu, at, esr);
        deliver_external_abort(vm, vcpu, esr);
    }
}

/// Makes the guest take an abort that came to EL2 as one that the memory system reports.
fn deliver_external_abort(vm: &Vm, vcpu: &Vcpu, esr: u64) {
    // `FnV`: the register with the address has none.
    const NOT_VALID: u64 = 1 << 10;
    let address = (esr & NOT_VALID == 0).then(|| vcpu.fault_virtual_address());
    let source = if is_on_walk(esr) {
        Source::Walk(level_outside(vm, vcpu.fault_virtual_address()))
    } else {
        Source::Access
    };
    exception::deliver(
        vcpu,
        Exception::ExternalAbort {
            syndrome: esr,
            address,
            source,
        },
    );
}

/// Returns the level of the loaded vCPU's tables that lies outside of memory on the way to `address`. The syndrome of a
/// fault of stage 2 has the level of that stage alone.
fn level_outside(vm: &Vm, address: u64) -> i8 {
    let stage1 = Stage1 {
        ttbr0: TTBR0_EL1.get(),
        ttbr1: TTBR1_EL1.get(),
        tcr: TCR_EL1.get(),
        sctlr: SCTLR_EL1.get(),
    };
    let machine = &**vm.probes().machine();
    let walk = stage1.translate(machine, GuestVirt::new(address), ProbeAccess::Data);
    match walk.map_err(|fault| fault.problem) {
        Err(WalkProblem::Table { level, .. }) => level,
        // Another vCPU has changed the tables since: any level is as good.
        _ => 0,
    }
}

/// Handles an abort that is not about missing memory.
///
/// All that is mapped allows everything, unless a probe has changed it. If probes say that a fault for want of a right
/// is not theirs, then the guest's tables, or those of stage 2, have changed since: the guest tries again, and what it
/// meets then is right.
fn refused(vm: &Vm, vcpu: &Vcpu, esr: u64) {
    trace_fault(vcpu, vcpu.fault_address().unwrap_or(0), esr);
    if !is_permission_fault(esr) || vm.config().probes == Probes::Closed {
        give_up(vm, vcpu, "abort", esr);
    }
}

fn trace_fault(vcpu: &Vcpu, at: u64, esr: u64) {
    trace!(vmm::page_fault {
        vm_id: vcpu.vm_id().get(),
        vcpu_id: vcpu.id().get(),
        gpa: at,
        gva: vcpu.fault_virtual_address(),
        access: attempted(esr),
        status: (esr & 0x3f) as u32,
        pc: vcpu.pc(),
    });
}

fn page_fault(vm: &Vm, vcpu: &Vcpu, at: u64, esr: u64) {
    trace_fault(vcpu, at, esr);
    // All that is mapped has the access flag, so nothing but a missing page can be mended.
    if !is_translation_fault(esr) {
        give_up(vm, vcpu, "fault of a mapped page", esr);
    } else if vm.map(GuestPhys::new(at & !0xfff)).is_err() {
        give_up(vm, vcpu, "page fault without memory left", esr);
    }
}

/// Tells whether an abort is a translation fault, of any level (ARM ARM D24.2.40, DFSC and IFSC).
fn is_translation_fault(esr: u64) -> bool {
    matches!(esr & 0x3f, 0x04..=0x07)
}

/// Tells whether an abort is a permission fault, of any level.
fn is_permission_fault(esr: u64) -> bool {
    matches!(esr & 0x3f, 0x0c..=0x0f)
}

/// Tells whether the guest's tables were read when the abort happened (ARM ARM D24.2.40, S1PTW).
fn is_on_walk(esr: u64) -> bool {
    esr >> 7 & 1 != 0
}

/// Returns what the guest attempted, as `vmm:page_fault` numbers it.
fn attempted(esr: u64) -> u32 {
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    const EXECUTE: u32 = 4;
    match (esr >> 26 & 0x3f, esr >> 6 & 1) {
        (INSTRUCTION_ABORT, _) => EXECUTE,
        (_, 0) => READ,
        _ => WRITE,
    }
}

/// Where in a device an access goes.
#[derive(Clone, Copy, Debug)]
struct Device {
    target: Target,
    at: u64,
}

fn access_device(vm: &Vm, vcpu: &Vcpu, Device { target, at }: Device, esr: u64) {
    let Some(access) = Access::decode(esr) else {
        return give_up(
            vm,
            vcpu,
            "access to a device that the syndrome does not describe",
            esr,
        );
    };
    let value = match access.kind {
        AccessKind::Read => {
            let value = access.loaded(bus::read(vm, target, at, access));
            vcpu.set_register(access.register, value);
            value
        }
        AccessKind::Write => {
            let value = access.stored(vcpu.register(access.register));
            bus::write(vm, vcpu, target, at, access, value);
            value
        }
    };
    trace!(vmm::device_access {
        vm_id: vcpu.vm_id().get(),
        vcpu_id: vcpu.id().get(),
        gpa: at,
        value,
        size: access.size,
        write: access.kind == AccessKind::Write,
    });
    vcpu.skip_instruction();
}

/// Stops the VM after something that the hypervisor cannot handle.
fn give_up(vm: &Vm, vcpu: &Vcpu, what: &str, esr: u64) {
    println!(
        "vm {} vcpu {}: unhandled {what}: esr {esr:#x}, pc {:#x}, address {:#x} (virtual {:#x}); the VM stops",
        vm.id(),
        vcpu.id(),
        vcpu.pc(),
        vcpu.fault_address().unwrap_or(0),
        vcpu.fault_virtual_address(),
    );
    vm.stop(StopReason::GuestFailed);
}
