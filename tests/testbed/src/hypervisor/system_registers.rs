//! Accesses to system registers that leave the guest.

use axebpf::tracepoint::{trace, vmm};

use super::{
    debug_registers,
    exception::{self, Exception},
    id_registers,
    vcpu::Vcpu,
    vm::Vm,
};

/// An access, as its syndrome describes it (ARM ARM D24.2.40, ISS of a trapped `MSR` or `MRS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    op0: u32,
    op1: u32,
    crn: u32,
    crm: u32,
    op2: u32,
    /// The general register that takes or holds the value; 31 is the zero register.
    register: usize,
    reads: bool,
}

impl Access {
    fn decode(esr: u64) -> Self {
        let field = |lowest: u32, mask: u64| (esr >> lowest & mask) as u32;
        Self {
            op0: field(20, 3),
            op1: field(14, 7),
            crn: field(10, 15),
            crm: field(1, 15),
            op2: field(17, 7),
            register: field(5, 31) as usize,
            reads: esr & 1 != 0,
        }
    }
}

/// Does what the access that left with `esr` asks for, or tells the guest that there is no such register.
pub(crate) fn access(vm: &Vm, vcpu: &Vcpu, esr: u64) {
    let access = Access::decode(esr);
    if execute(vm, vcpu, access) {
        vcpu.skip_instruction();
    } else {
        exception::deliver(vcpu, Exception::Undefined);
    }
}

/// Does what `access` asks for and tells whether there is such a register.
fn execute(vm: &Vm, vcpu: &Vcpu, access: Access) -> bool {
    let Access {
        op0,
        op1,
        crn,
        crm,
        op2,
        register,
        reads,
    } = access;
    match (op0, op1, crn, crm, op2) {
        // ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1; only the first one is for interrupts that there are.
        (3, 0, 12, 11, 5) if !reads => send_ipi(vm, vcpu, vcpu.register(register)),
        (3, 0, 12, 11, 6 | 7) if !reads => {}
        (3, 0, 0, 1..=7, _) if reads => vcpu.set_register(register, id_registers::read(crm, op2)),
        // Auxiliary control, and the physical timer: they are there, and do nothing.
        (3, 0, 1, 0, 1) | (3, 3, 14, 2, 0..=2) => nothing(vcpu, access),
        // The channel to an external debugger, and AArch32's vector catch.
        (2, 3, 0, _, _) | (2, 4, 0, 7, 0) => nothing(vcpu, access),
        (2, 0, 0 | 1 | 7, _, _) => {
            let name = debug_registers::Name { crn, crm, op2 };
            if reads {
                vcpu.set_register(register, vcpu.debug().read(name));
            } else {
                let value = vcpu.register(register);
                vcpu.debug().write(name, value);
                vcpu.debug().load();
            }
        }
        _ => return false,
    }
    true
}

/// Reads zero, or ignores a write.
fn nothing(vcpu: &Vcpu, access: Access) {
    if access.reads {
        vcpu.set_register(access.register, 0);
    }
}

/// Interrupts the vCPUs that `request` names, as a write to `ICC_SGI1R_EL1` asks.
fn send_ipi(vm: &Vm, from: &Vcpu, request: u64) {
    const ALL_BUT_SELF: u64 = 1 << 40;
    let interrupt = (request >> 24 & 0xf) as u32;
    trace!(vmm::ipi_send {
        from: from.id().get(),
        targets: if request & ALL_BUT_SELF != 0 {
            u64::MAX
        } else {
            request & 0xffff
        },
        irq: interrupt,
        guest: true,
        vm_id: vm.id().get(),
    });
    for vcpu in vm.vcpus() {
        let bit = 1_u64.checked_shl(vcpu.id().get()).unwrap_or(0);
        let chosen = if request & ALL_BUT_SELF != 0 {
            vcpu.id() != from.id()
        } else {
            request & 0xffff & bit != 0
        };
        if chosen {
            vcpu.inject(interrupt);
        }
    }
}
