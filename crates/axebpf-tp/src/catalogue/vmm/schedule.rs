//! Physical CPUs and what runs on them.

use crate::field_type::Hex;

crate::define_event! {
    /// A physical CPU has come up and runs the hypervisor.
    pub event vmm:cpu_up as CpuUp {
        /// The CPU.
        cpu: u32,
        /// Its affinity (MPIDR_EL1).
        mpidr: Hex<u64>,
    }
}

crate::define_event! {
    /// A CPU goes from one task of the hypervisor, usually a vCPU, to another.
    ///
    /// Task numbers are the scheduler's own; `0xffffffff` is the idle task. The duration is how
    /// long the previous task ran.
    pub event vmm:task_switch as TaskSwitch {
        /// The task that stops.
        prev: u32,
        /// The task that goes on.
        next: u32,
        /// The VM of the vCPU that goes on; `0xffffffff` when the task is none.
        vm_id: u32,
        /// The vCPU that goes on; `0xffffffff` when the task is none.
        vcpu_id: u32,
    } duration = since task_switch per cpu
}
