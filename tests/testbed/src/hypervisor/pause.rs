//! Pausing a VM: its vCPUs leave the guest and stay out of it, and go on later as if nothing had been.
//!
//! Nothing of a vCPU is put away for that. What is pending for it stays pending, and if it was being stepped, the step
//! goes on.

use super::{
    sched, timer,
    vcpu::Vcpu,
    vcpu_state::VcpuState,
    vm::Vm,
    vm_error::VmError,
    vm_state::{PATIENCE_NS, VmState},
};

impl Vm {
    /// Makes all vCPUs leave the guest, and returns when they have.
    ///
    /// # Errors
    ///
    /// When the VM does not run, or a vCPU does not come out; the VM is paused then, and can be resumed.
    pub(crate) fn pause(&self) -> Result<(), VmError> {
        self.change_state(VmState::Running, VmState::Paused)?;
        self.kick_all();
        let end = timer::now_ns() + PATIENCE_NS;
        // One that waits for its CPU may have looked already whether it should go on.
        let may_enter = |vcpu: &Vcpu| matches!(vcpu.state(), VcpuState::Ready | VcpuState::Running);
        while self.vcpus().iter().any(|vcpu| may_enter(vcpu)) {
            if timer::now_ns() > end {
                return Err(VmError::StillInside { vm: self.id() });
            }
            sched::sleep(1_000_000);
        }
        Ok(())
    }

    /// Lets the vCPUs enter the guest again.
    ///
    /// # Errors
    ///
    /// When the VM is not paused.
    pub(crate) fn resume(&self) -> Result<(), VmError> {
        self.change_state(VmState::Paused, VmState::Running)?;
        self.kick_all();
        Ok(())
    }

    /// Keeps the task of `vcpu` from entering the guest for as long as the VM is paused.
    pub(crate) fn wait_while_paused(&self, vcpu: &Vcpu) {
        while self.state() == VmState::Paused {
            vcpu.set_state(VcpuState::Paused);
            sched::block(timer::NEVER, || self.state() != VmState::Paused);
            vcpu.set_state(VcpuState::Running);
        }
    }
}
