//! Interrupts of the guest, through the CPU interface of its virtual GICv3.

use core::arch::asm;

use aarch64_rt::{ExceptionHandlers, RegisterStateRef, exception_handlers};
use arm_gic::{
    IntId, InterruptGroup,
    gicv3::{GicCpuInterface, SgiTarget, SgiTargetGroup},
};

use crate::{device, timer};

const IPI: IntId = IntId::sgi(1);
const TIMER: IntId = IntId::ppi(11);
const DEVICE: IntId = IntId::spi(device::INTERRUPT - 32);

struct Handlers;

impl ExceptionHandlers for Handlers {
    extern "C" fn irq_current(_state: RegisterStateRef<'_>) {
        let group = InterruptGroup::Group1;
        while let Some(id) = GicCpuInterface::get_and_acknowledge_interrupt(group) {
            match id {
                TIMER => timer::restart(),
                DEVICE => device::acknowledge(),
                // An interrupt from the other vCPU needs no answer: to be awake is enough.
                _ => {}
            }
            GicCpuInterface::end_interrupt(id, group);
        }
    }
}

exception_handlers!(Handlers);

/// Lets interrupts reach the executing vCPU.
pub(crate) fn init() {
    GicCpuInterface::enable_system_register_el1();
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
    // SAFETY: the vector table was set before any Rust code ran.
    unsafe { asm!("msr daifclr, #2", options(nomem, nostack)) }
}

/// Interrupts the other vCPU.
pub(crate) fn send_ipi(from: u32) {
    let target = SgiTarget::List {
        affinity3: 0,
        affinity2: 0,
        affinity1: 0,
        target_list: 1 << (from ^ 1),
    };
    // The only error is an interrupt number that is no SGI, and `IPI` is one.
    let _ = GicCpuInterface::send_sgi(IPI, target, SgiTargetGroup::CurrentGroup1);
}
