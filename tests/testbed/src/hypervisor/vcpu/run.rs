//! Running a vCPU: into the guest, out again, and who is asked about it.

use core::sync::atomic::{Ordering, fence};

use axebpf::probe::kprobe::{Outcome, ProbedGuest, Syndrome};
use axebpf::tracepoint::{trace, vmm};

use super::Vcpu;
use crate::hypervisor::{
    exit::Exit, gic, guest_vcpu::LoadedVcpu, irq, percpu, sysreg, vgic, world,
};

/// That a vCPU was in its guest, and how often it had left it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    exits: u64,
}

impl Vcpu {
    /// Runs the guest until it leaves. Handles interrupts that made it leave, and lets `probes`, if it can have any,
    /// handle what is theirs.
    pub(crate) fn run(&self, probes: Option<&ProbedGuest>) -> Exit {
        let daif = sysreg::mask_interrupts();
        let room = self.flush_interrupts();
        self.trace_entry();
        self.announce_entry();
        if let Some(probes) = probes {
            probes.prepare_entry(&mut LoadedVcpu(self));
        }
        vgic::set_control(room, self.delivery());
        let mut exit = self.enter();
        percpu::this().set_exit_reason(exit.reason());
        self.trace_exit(exit);
        match exit {
            Exit::Interrupt => irq::handle_pending(Some(self.name)),
            Exit::Synchronous(esr) => {
                let (far, hpfar) = (self.registers().far, self.registers().hpfar);
                let syndrome = Syndrome { esr, far, hpfar };
                if let Some(probes) = probes
                    && probes.handle_exit(&mut LoadedVcpu(self), &syndrome) == Outcome::Handled
                {
                    exit = Exit::Probe;
                }
            }
            _ => {}
        }
        sysreg::restore_interrupts(daif);
        exit
    }

    /// Says that the vCPU is in its guest, before anything is decided about the entry.
    ///
    /// Whoever changes what entries depend on and then looks at the flag sees it set, or the entry sees the change: a
    /// full barrier is between the store and the load on both sides. From here on until the guest is left, nothing may
    /// wait for a CPU that [waits for this vCPU](Self::wait_until_out), whose interrupt is masked until the guest is
    /// entered, which is then left at once. The locks that are taken on the way, those of the tables of stage 2, are
    /// not held by anybody who waits like that.
    fn announce_entry(&self) {
        self.in_guest.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Goes to the guest, as [announced](Self::announce_entry), and returns why it was left.
    fn enter(&self) -> Exit {
        let registers = self.registers();
        // SAFETY: interrupts are masked, and the task that executes this has its vCPU loaded.
        let kind = unsafe { world::enter(registers) };
        self.in_guest.store(false, Ordering::Release);
        self.exits.fetch_add(1, Ordering::Release);
        match kind {
            world::SYNCHRONOUS => Exit::Synchronous(registers.esr),
            world::INTERRUPT => Exit::Interrupt,
            _ => Exit::SystemError,
        }
    }

    fn trace_entry(&self) {
        let (vm_id, vcpu_id) = (self.name.vm.get(), self.name.vcpu.get());
        trace!(vmm::vcpu_run_enter {
            vm_id,
            vcpu_id,
            pc: self.pc()
        });
    }

    fn trace_exit(&self, exit: Exit) {
        let (vm_id, vcpu_id) = (self.name.vm.get(), self.name.vcpu.get());
        trace!(vmm::vcpu_run_exit {
            vm_id,
            vcpu_id,
            reason: exit.reason(),
            pc: self.pc(),
            esr: exit.syndrome(),
            far: if exit.is_abort() {
                self.fault_virtual_address()
            } else {
                0
            },
            gpa: if exit.is_abort() {
                self.fault_address().unwrap_or(0)
            } else {
                0
            },
        });
    }

    /// Interrupts the CPU that has the vCPU in its guest, or is about to enter it, and takes note of how often that was
    /// left.
    pub(crate) fn send_out(&self) -> Option<Inside> {
        // Before the flag: if the vCPU leaves and enters again between the two, the number is the older one, and nobody
        // waits. The other way round, the new number would be waited for until something else makes the vCPU leave.
        let exits = self.exits.load(Ordering::Acquire);
        if !self.in_guest.load(Ordering::Acquire) || self.cpu == percpu::id() {
            return None;
        }
        gic::send_untraced(self.cpu, gic::SGI_RESCHEDULE);
        Some(Inside { exits })
    }

    /// Waits until the vCPU that was [sent out](Self::send_out) has left its guest.
    pub(crate) fn wait_until_out(&self, inside: Inside) {
        while self.in_guest.load(Ordering::Acquire)
            && self.exits.load(Ordering::Acquire) == inside.exits
        {
            // Another CPU may wait for this one to answer.
            axebpf::hit::text::answer();
            core::hint::spin_loop();
        }
    }
}
