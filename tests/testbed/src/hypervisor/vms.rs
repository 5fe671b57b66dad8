//! The virtual machines that there are.

use alloc::{sync::Arc, vec::Vec};

use axebpf::platform::VmId;
use axebpf::tracepoint::{trace, vmm};

use super::{
    config::VmConfig, guest_programs, lock::Lock, vm::Vm, vm_error::VmError, vm_state::VmState,
};

static VMS: Lock<Vec<Arc<Vm>>> = Lock::new(Vec::new());

/// Makes a VM as `description` says, and lists it.
pub(crate) fn create(description: &str) -> Result<Arc<Vm>, VmError> {
    create_with(description, None)
}

/// Makes a VM as `description` says, but for the number of its vCPUs, and lists it.
pub(crate) fn create_with(description: &str, vcpus: Option<u32>) -> Result<Arc<Vm>, VmError> {
    let mut config = VmConfig::parse(description)?;
    config.vcpus = vcpus.unwrap_or(config.vcpus);
    let size = description.len() as u64;
    let vm = Vm::new(config)?;
    trace!(vmm::config_load {
        vm_id: vm.id().get(),
        size,
        name: vm.name()
    });
    guest_programs::open(&vm);
    VMS.lock().push(vm.clone());
    Ok(vm)
}

/// Returns VM `id`.
pub(crate) fn find(id: VmId) -> Option<Arc<Vm>> {
    VMS.lock().iter().find(|vm| vm.id() == id).cloned()
}

/// Returns all VMs.
pub(crate) fn all() -> Vec<Arc<Vm>> {
    VMS.lock().clone()
}

/// Forgets VM `id`, which must be stopped, and frees what it has.
pub(crate) fn destroy(id: VmId) -> Result<(), VmError> {
    let vm = find(id).ok_or(VmError::NoVm { vm: id })?;
    if vm.state() != VmState::Stopped {
        return Err(VmError::NotStopped {
            vm: id,
            state: vm.state(),
        });
    }
    guest_programs::close(id);
    VMS.lock().retain(|other| other.id() != id);
    vm.trace_destruction();
    Ok(())
}
