//! The physical interrupt controller.

use core::ptr::NonNull;

use arm_gic::{
    IntId, Trigger, UniqueMmioPointer,
    gicv3::{
        GicCpuInterface, GicError, GicRedistributorIterator, GicV3, SgiTarget, SgiTargetGroup,
        registers::{Gicd, GicrSgi},
    },
};
use axebpf::platform::CpuId;
use axebpf::tracepoint::{trace, vmm};

use super::{lock::Lock, percpu, sysreg, timer, uart, vgic};

/// Makes a CPU answer fence requests.
pub(crate) const SGI_FENCE: IntId = IntId::sgi(1);
/// Makes a CPU look whether a task of its own became runnable.
pub(crate) const SGI_RESCHEDULE: IntId = IntId::sgi(2);

const DISTRIBUTOR: *mut Gicd = 0x0800_0000 as *mut Gicd;
const REDISTRIBUTORS: *mut GicrSgi = 0x080a_0000 as *mut GicrSgi;

static GIC: Lock<Option<GicV3<'static>>> = Lock::new(None);

fn redistributors() -> NonNull<GicrSgi> {
    NonNull::new(REDISTRIBUTORS).expect("the redistributors do not lie at address 0")
}

/// Returns the affinity of each CPU, in the order of the redistributors. Called by the boot CPU before [`init`].
pub(crate) fn affinities() -> Result<impl Iterator<Item = u64>, GicError> {
    // SAFETY: QEMU virt has its redistributors there, contiguously, and nobody else uses them yet.
    let redistributors = unsafe { GicRedistributorIterator::new(redistributors()) }?;
    Ok(redistributors.map(|redistributor| redistributor.typer().core_mpidr()))
}

/// Sets the distributor up, and this CPU's part of the controller.
pub(crate) fn init() -> Result<(), GicError> {
    let distributor = NonNull::new(DISTRIBUTOR).expect("the distributor does not lie at address 0");
    // SAFETY: the registers are mapped as Device memory, and nobody else uses them.
    let distributor = unsafe { UniqueMmioPointer::new(distributor) };
    // SAFETY: the same holds for the redistributors.
    let mut gic = unsafe { GicV3::new(distributor, redistributors(), percpu::count() as usize) }?;
    GicCpuInterface::enable_system_register_el2(true);
    gic.setup(percpu::id().index());
    gic.set_trigger(uart::INTERRUPT, None, Trigger::Level)?;
    gic.enable_interrupt(uart::INTERRUPT, None, true)?;
    gic.distributor()
        .set_routing(uart::INTERRUPT, Some(percpu::this().mpidr()))?;
    *GIC.lock() = Some(gic);
    init_cpu()
}

/// Sets the executing CPU's part of the controller up.
pub(crate) fn init_cpu() -> Result<(), GicError> {
    GicCpuInterface::enable_system_register_el2(true);
    let mut gic = GIC.lock();
    let Some(gic) = gic.as_mut() else {
        return Ok(());
    };
    let cpu = percpu::id().index();
    gic.init_cpu(cpu);
    for interrupt in [
        SGI_FENCE,
        SGI_RESCHEDULE,
        timer::HOST_TIMER,
        timer::GUEST_TIMER,
        vgic::MAINTENANCE,
    ] {
        gic.enable_interrupt(interrupt, Some(cpu), true)?;
    }
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
    Ok(())
}

/// Interrupts `cpu` by the software-generated interrupt `interrupt`.
pub(crate) fn send(cpu: CpuId, interrupt: IntId) {
    trace!(vmm::ipi_send {
        from: percpu::id().get(),
        targets: 1_u64.checked_shl(cpu.get()).unwrap_or(0),
        irq: interrupt.into(),
        guest: false,
        vm_id: 0,
    });
    send_untraced(cpu, interrupt);
}

/// Interrupts `cpu` as [`send`] does, without passing a tracepoint.
pub(crate) fn send_untraced(cpu: CpuId, interrupt: IntId) {
    let Some(target) = percpu::get(cpu).map(percpu::PerCpu::mpidr) else {
        return;
    };
    let target = SgiTarget::List {
        affinity3: (target >> 32) as u8,
        affinity2: (target >> 16) as u8,
        affinity1: (target >> 8) as u8,
        target_list: 1 << (target & 0xf),
    };
    // What the interrupt is about was stored before, and a store is ordered before the write of a system register by a
    // barrier only.
    sysreg::data_barrier();
    // The only error is an interrupt number that is no SGI, and all callers pass one.
    let _ = GicCpuInterface::send_sgi(interrupt, target, SgiTargetGroup::CurrentGroup1);
}
