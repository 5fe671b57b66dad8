//! How the hypervisor comes up.

use crate::field_type::{Hex, Str};

crate::define_event! {
    /// The virtual machine monitor is initialised: VMs can be created.
    pub event vmm:vmm_init as VmmInit {
        /// How many CPUs it runs on.
        cpus: u32,
        /// How much memory it has to give, in bytes.
        memory: u64,
    }
}

crate::define_event! {
    /// A CPU is ready to run guests: its virtualization hardware is set up.
    pub event vmm:vhal_init as VhalInit {
        /// The CPU.
        cpu: u32,
        /// How many bits guest-physical addresses have.
        ipa_bits: u32,
        /// What stage-2 translation is set to (VTCR_EL2).
        vtcr: Hex<u64>,
    }
}

crate::define_event! {
    /// The configuration of a VM has been read.
    pub event vmm:config_load as ConfigLoad {
        /// The VM that it is for.
        vm_id: u32,
        /// How many bytes it has.
        size: u64,
        /// Its name, or where it came from.
        name: Str<32>,
    }
}

crate::define_event! {
    /// An image (kernel, device tree, initial file system) has been put into a VM's memory.
    pub event vmm:image_load as ImageLoad {
        /// The VM.
        vm_id: u32,
        /// Where the guest sees it.
        gpa: Hex<u64>,
        /// How many bytes it has.
        size: u64,
        /// Its name, or where it came from.
        name: Str<32>,
    }
}
