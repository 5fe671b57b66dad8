//! The life of a VM, from its first vCPU's start to its last one's end.

use alloc::{boxed::Box, format, string::String, sync::Arc};
use core::sync::atomic::Ordering;

use axebpf::tracepoint::{trace, vmm};

use super::Vm;
use crate::hypervisor::{
    config::Probes,
    exit, guest_programs, sched, sysreg,
    task::Task,
    translation_sampling,
    vcpu::Vcpu,
    vcpu_state::VcpuState,
    vm_boot,
    vm_error::VmError,
    vm_state::{StopReason, VmState},
    vms,
};

impl Vm {
    /// Fills the memory as the description says and starts the first vCPU.
    pub(crate) fn boot(self: &Arc<Self>) -> Result<(), VmError> {
        let (stopped, running) = (VmState::Stopped as u32, VmState::Running as u32);
        if self
            .state
            .compare_exchange(stopped, running, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return Err(VmError::NotStopped {
                vm: self.id,
                state: self.state(),
            });
        }
        self.reset_devices();
        guest_programs::restarted(self.id);
        // What is loaded has no traps in it, and goes where the guest's own pages are.
        let loaded = self
            .probes
            .disarm_all()
            .map_err(VmError::from)
            .and_then(|()| vm_boot::load(self));
        let started = loaded.and_then(|first| {
            trace!(vmm::vm_boot {
                vm_id: self.id.get(),
                vcpus: self.config.vcpus,
                entry: first.entry,
            });
            self.start_vcpu(0, first.entry, first.argument)
        });
        if started.is_err() {
            self.state.store(stopped, Ordering::Release);
        }
        started
    }

    fn reset_devices(&self) {
        self.checks.restart();
        self.distributor.reset();
        self.uart.lock().reset();
        for vcpu in &self.vcpus {
            vcpu.interrupts().reset();
            vcpu.set_state(VcpuState::Off);
        }
    }

    /// Starts vCPU `number` at `entry` with `context` in x0.
    pub(crate) fn start_vcpu(&self, number: u64, entry: u64, context: u64) -> Result<(), VmError> {
        let no_vcpu = VmError::NoVcpu {
            vm: self.id,
            vcpu: number,
        };
        let vcpu = self.vcpu(number).ok_or(no_vcpu)?.clone();
        let vm = vms::find(self.id).ok_or(VmError::NoVm { vm: self.id })?;
        if !vcpu.change_state(VcpuState::Off, VcpuState::Ready) {
            return Err(VmError::AlreadyOn {
                vm: self.id,
                vcpu: vcpu.id(),
            });
        }
        // SAFETY: the vCPU has just been claimed, and its task is made below.
        unsafe { self.reset_vcpu(&vcpu, entry, context) };
        let body = {
            let vcpu = vcpu.clone();
            Box::new(move || run_vcpu(&vm, &vcpu))
        };
        let name: String = format!("vm{}/vcpu{}", self.id, vcpu.id());
        let Some(task) = Task::new(name, vcpu.cpu(), Some(vcpu.clone()), body) else {
            vcpu.set_state(VcpuState::Off);
            return Err(VmError::NoMemory);
        };
        let task = Arc::new(task);
        vcpu.set_task(&task);
        self.live.fetch_add(1, Ordering::AcqRel);
        sched::spawn(task);
        Ok(())
    }

    /// Puts `vcpu` to what it is at reset, with `pc` and `x0`, and has probes forget what they know of it.
    ///
    /// # Safety
    ///
    /// As for [`Vcpu::reset`].
    unsafe fn reset_vcpu(&self, vcpu: &Vcpu, pc: u64, x0: u64) {
        // SAFETY: the caller says so.
        unsafe { vcpu.reset(pc, x0) };
        // What probes know of a vCPU is locked, and who wants it may have masked interrupts on this CPU.
        let daif = sysreg::mask_interrupts();
        self.probes.reset_vcpu(vcpu.id());
        sysreg::restore_interrupts(daif);
    }

    /// Asks all vCPUs to end. The VM is stopped when the last one has.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.stop_reason.store(reason as u32, Ordering::Relaxed);
        // It does one of the two, or is stopped or stopping already.
        let _ = self
            .change_state(VmState::Running, VmState::Stopping)
            .or_else(|_| self.change_state(VmState::Paused, VmState::Stopping));
        self.kick_all();
    }

    /// Makes the vCPUs look at what the VM is doing.
    pub(crate) fn kick_all(&self) {
        for vcpu in &self.vcpus {
            vcpu.kick();
        }
    }

    /// Makes the VM do something else, if it does `needed`.
    pub(crate) fn change_state(&self, needed: VmState, next: VmState) -> Result<(), VmError> {
        let changed = self.state.compare_exchange(
            needed as u32,
            next as u32,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        changed.map(drop).map_err(|_| VmError::WrongState {
            vm: self.id,
            state: self.state(),
            needed,
        })
    }

    /// Says that one vCPU has ended.
    fn vcpu_ended(&self, vcpu: &Vcpu) {
        let state = if self.is_stopping() {
            VcpuState::Stopped
        } else {
            VcpuState::Off
        };
        vcpu.set_state(state);
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            let reason = self.stop_reason.load(Ordering::Relaxed);
            trace!(vmm::vm_shutdown {
                vm_id: self.id.get(),
                reason
            });
            self.state.store(VmState::Stopped as u32, Ordering::Release);
        }
    }
}

/// What the task of a vCPU does.
fn run_vcpu(vm: &Vm, vcpu: &Vcpu) {
    vcpu.set_state(VcpuState::Running);
    let probes = match vm.config.probes {
        Probes::Open => Some(&*vm.probes),
        Probes::Closed => None,
    };
    loop {
        vm.wait_while_paused(vcpu);
        if vm.is_stopping() || vcpu.is_ending() {
            break;
        }
        let reason = vcpu.run(probes);
        exit::handle(vm, vcpu, reason);
        translation_sampling::at_exit(vm, vcpu);
        sched::preempt();
    }
    sched::leave_vcpu();
    // What it was doing when it was switched off, it will not go on with. Probes need not wait for that.
    // SAFETY: this is its task, which has left it, and until it has ended nobody starts it anew.
    unsafe { vm.reset_vcpu(vcpu, 0, 0) };
    // From here on somebody may start the vCPU anew, in another task.
    vm.vcpu_ended(vcpu);
}
