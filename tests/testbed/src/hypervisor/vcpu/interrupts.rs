//! The virtual interrupts of a vCPU, and waiting for them.

use core::sync::atomic::Ordering;

use aarch64_cpu::registers::{CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable};
use axebpf::tracepoint::{trace, vmm};

use super::Vcpu;
use crate::hypervisor::{
    distributor::FIRST_SHARED, gic, percpu, redistributor::Redistributor, sched, timer,
    vcpu_state::VcpuState, vgic,
};

/// The virtual timer's interrupt.
pub(crate) const TIMER_INTERRUPT: u32 = 27;
/// Virtual interrupts have numbers below this.
const INTERRUPT_LIMIT: u32 = 64;

impl Vcpu {
    /// Moves pending interrupts to list registers, as many as there are.
    pub(super) fn flush_interrupts(&self) -> vgic::Room {
        let asserted = self.distributor.asserted_for(self.name.vcpu.get());
        let lines = u64::from(asserted) << FIRST_SHARED;
        vgic::withdraw(lines);
        let mut room = vgic::Room::Left;
        for number in numbers(lines) {
            room = room.and(vgic::hold(number, self.priority(number)));
        }
        for number in numbers(self.interrupts.pending() & self.enabled()) {
            // Taken before it is queued, so that what becomes pending afterwards stays.
            if self.interrupts.take_pending(1 << number) == 0 {
                continue;
            }
            let queued = vgic::queue(number, self.priority(number));
            if queued == vgic::Room::None {
                self.interrupts.set_pending(1 << number);
            }
            room = room.and(queued);
        }
        room
    }

    fn enabled(&self) -> u64 {
        u64::from(self.distributor.enabled()) << FIRST_SHARED | u64::from(self.interrupts.enabled())
    }

    fn priority(&self, number: u32) -> u8 {
        if number < FIRST_SHARED {
            self.interrupts.priority(number)
        } else {
            self.distributor.priority(number)
        }
    }

    /// Tells whether an interrupt waits that is not in a list register.
    fn has_interrupt(&self) -> bool {
        self.interrupts.pending() & self.enabled() != 0
            || self.distributor.asserted_for(self.name.vcpu.get()) != 0
    }

    /// Returns the vCPU's part of the interrupt controller.
    pub(crate) fn interrupts(&self) -> &Redistributor {
        &self.interrupts
    }

    /// Makes `interrupt` pending for the vCPU, wherever that runs.
    pub(crate) fn inject(&self, interrupt: u32) {
        debug_assert!(interrupt < INTERRUPT_LIMIT);
        trace!(vmm::irq_inject {
            vm_id: self.name.vm.get(),
            vcpu_id: self.name.vcpu.get(),
            virq: interrupt,
            hardware: false,
        });
        self.interrupts.set_pending(1 << interrupt);
        self.kick();
    }

    /// Wakes the vCPU if it is halted, and otherwise makes it leave the guest.
    pub(crate) fn kick(&self) {
        let task = self.task.lock().upgrade();
        let Some(task) = task else { return };
        if !sched::wake(&task) && self.cpu != percpu::id() {
            gic::send(self.cpu, gic::SGI_RESCHEDULE);
        }
    }

    /// Waits for an interrupt, until the virtual timer's deadline or until `stop` says so.
    pub(crate) fn halt(&self, stop: impl Fn() -> bool) {
        if vgic::has_pending() {
            return;
        }
        let (vm_id, vcpu_id) = (self.name.vm.get(), self.name.vcpu.get());
        trace!(vmm::vcpu_halt {
            vm_id,
            vcpu_id,
            pc: self.pc().wrapping_sub(4)
        });
        self.set_state(VcpuState::Halted);
        let ready = || self.has_interrupt() || stop();
        sched::block(timer_deadline(), ready);
        self.set_state(VcpuState::Running);
    }
    /// Keeps virtual interrupts from the guest until [`release_interrupts`](Self::release_interrupts).
    pub(crate) fn hold_interrupts(&self) {
        self.holding.store(true, Ordering::Relaxed);
    }

    /// Ends [`hold_interrupts`](Self::hold_interrupts).
    pub(crate) fn release_interrupts(&self) {
        self.holding.store(false, Ordering::Relaxed);
    }

    pub(super) fn delivery(&self) -> vgic::Delivery {
        if self.holding.load(Ordering::Relaxed) {
            vgic::Delivery::Held
        } else {
            vgic::Delivery::On
        }
    }
}

/// Returns the numbers of the bits that are set.
fn numbers(mut bits: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let number = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(number)
    })
}

/// Returns when the loaded vCPU's virtual timer fires, in nanoseconds of the machine.
fn timer_deadline() -> u64 {
    const ENABLED: u64 = 1;
    const MASKED: u64 = 2;
    if CNTV_CTL_EL0.get() & (ENABLED | MASKED) != ENABLED {
        return timer::NEVER;
    }
    let ahead = CNTV_CVAL_EL0.get().saturating_sub(CNTVCT_EL0.get());
    timer::now_ns().saturating_add(timer::ticks_to_ns(ahead))
}

/// Makes the virtual timer's interrupt pending for the loaded vCPU.
pub(crate) fn inject_timer() {
    if let Some(vcpu) = sched::current().vcpu() {
        vcpu.inject(TIMER_INTERRUPT);
    }
}
