//! Physical interrupts, from wherever they interrupted.

use arm_gic::{IntId, InterruptGroup, gicv3::GicCpuInterface};

use super::{gic, percpu, sched, timer, uart};

/// Acknowledges and handles what is pending. Called with interrupts masked.
pub(crate) fn handle_pending() {
    let group = InterruptGroup::Group1;
    while let Some(interrupt) = GicCpuInterface::get_and_acknowledge_interrupt(group) {
        handle(interrupt);
        GicCpuInterface::end_interrupt(interrupt, group);
    }
}

fn handle(interrupt: IntId) {
    match interrupt {
        timer::HOST_TIMER => timer::handle_host_timer(),
        timer::GUEST_TIMER => timer::handle_guest_timer(),
        uart::INTERRUPT => {
            uart::handle_interrupt();
            sched::wake_console();
        }
        gic::SGI_RESCHEDULE => percpu::this().request_reschedule(),
        // Fence requests are answered on every way back from an interrupt.
        _ => {}
    }
}
