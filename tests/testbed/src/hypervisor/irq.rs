//! Physical interrupts, from wherever they interrupted.

use arm_gic::{IntId, InterruptGroup, gicv3::GicCpuInterface};
use axebpf::platform::Vcpu;
use axebpf::tracepoint::{trace, vmm};

use super::{gic, percpu, sched, timer, uart, vgic};

/// Acknowledges and handles what is pending. Called with interrupts masked; `guest` is the vCPU that was interrupted,
/// if it was in its guest.
pub(crate) fn handle_pending(guest: Option<Vcpu>) {
    let group = InterruptGroup::Group1;
    while let Some(interrupt) = GicCpuInterface::get_and_acknowledge_interrupt(group) {
        let irq = interrupt.into();
        trace!(vmm::external_interrupt {
            irq,
            from_guest: guest.is_some(),
            vm_id: guest.map_or(0, |vcpu| vcpu.vm.get()),
            vcpu_id: guest.map_or(0, |vcpu| vcpu.vcpu.get()),
        });
        let handled = handle(interrupt);
        trace!(vmm::irq_handle { irq, handled });
        GicCpuInterface::end_interrupt(interrupt, group);
    }
}

/// Handles one interrupt, and tells whether there is a handler for it.
fn handle(interrupt: IntId) -> bool {
    match interrupt {
        timer::HOST_TIMER => timer::handle_host_timer(),
        timer::GUEST_TIMER => timer::handle_guest_timer(),
        uart::INTERRUPT => {
            uart::handle_interrupt();
            sched::wake_console();
        }
        vgic::MAINTENANCE => vgic::handle_maintenance(),
        gic::SGI_RESCHEDULE => percpu::this().request_reschedule(),
        gic::SGI_FENCE => axebpf::hit::text::answer(),
        _ => return false,
    }
    true
}
