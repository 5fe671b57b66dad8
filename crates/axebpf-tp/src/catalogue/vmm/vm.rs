//! The life of a virtual machine.

use crate::field_type::{Hex, Str};

crate::define_event! {
    /// A VM exists: its memory and vCPUs can be set up.
    pub event vmm:vm_create as VmCreate {
        /// The VM.
        vm_id: u32,
        /// How many vCPUs its configuration asks for.
        vcpus: u32,
        /// How much memory its configuration asks for, in bytes.
        memory: u64,
        /// Its name.
        name: Str<32>,
    }
}

crate::define_event! {
    /// A VM starts to run: its first vCPU is about to enter the guest.
    pub event vmm:vm_boot as VmBoot {
        /// The VM.
        vm_id: u32,
        /// How many vCPUs it has.
        vcpus: u32,
        /// The guest-physical address at which the first vCPU starts.
        entry: Hex<u64>,
    }
}

crate::define_event! {
    /// A VM stops running.
    pub event vmm:vm_shutdown as VmShutdown {
        /// The VM.
        vm_id: u32,
        /// Why: 0 the guest asked for it, 1 the guest asked for a reset, 2 the operator asked for
        /// it, 3 the guest failed, 4 the hypervisor failed.
        reason: u32,
    }
}

crate::define_event! {
    /// A VM is gone, and its memory with it.
    pub event vmm:vm_destroy as VmDestroy {
        /// The VM.
        vm_id: u32,
    }
}
