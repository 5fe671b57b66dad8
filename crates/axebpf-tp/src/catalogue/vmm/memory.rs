//! Stage-2 memory and emulated devices.

use crate::field_type::Hex;

crate::define_event! {
    /// A range of a VM's memory is mapped.
    pub event vmm:memory_map as MemoryMap {
        /// The VM.
        vm_id: u32,
        /// Where the guest sees it; a multiple of 4096.
        gpa: Hex<u64>,
        /// Where it is; a multiple of 4096.
        hpa: Hex<u64>,
        /// How much, in bytes; a multiple of 4096.
        size: u64,
        /// What the guest may do: 1 read, 2 write, 4 execute, 8 it is a device.
        flags: Hex<u32>,
    }
}

crate::define_event! {
    /// A range of a VM's memory is unmapped.
    pub event vmm:memory_unmap as MemoryUnmap {
        /// The VM.
        vm_id: u32,
        /// Where the guest saw it; a multiple of 4096.
        gpa: Hex<u64>,
        /// How much, in bytes; a multiple of 4096.
        size: u64,
    }
}

crate::define_event! {
    /// A guest touches memory that stage 2 does not let it touch.
    pub event vmm:page_fault as PageFault {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The guest-physical address, its lower 12 bits included where the CPU gives them.
        gpa: Hex<u64>,
        /// The guest-virtual address (FAR_EL2).
        gva: Hex<u64>,
        /// What the guest was doing: 1 reading, 2 writing, 4 executing.
        access: Hex<u32>,
        /// The fault status (ESR_EL2.DFSC or IFSC), 0 to 63: 4 to 7 translation, 12 to 15
        /// permission.
        status: Hex<u32>,
        /// The guest-virtual address of the instruction.
        pc: Hex<u64>,
    }
}

crate::define_event! {
    /// A guest reads or writes a register of an emulated device.
    pub event vmm:device_access as DeviceAccess {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The guest-physical address.
        gpa: Hex<u64>,
        /// What is written, or what the guest gets to read.
        value: Hex<u64>,
        /// How many bytes: 1, 2, 4 or 8.
        size: u32,
        /// Whether the guest writes.
        write: bool,
    }
}
