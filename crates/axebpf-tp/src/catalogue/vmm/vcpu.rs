//! The life of a virtual CPU, and the way into its guest and back.

use crate::field_type::Hex;

crate::define_event! {
    /// A vCPU exists.
    pub event vmm:vcpu_create as VcpuCreate {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The CPUs that it may run on, one bit each from CPU 0 on; all ones when it may run
        /// anywhere.
        cpu_mask: Hex<u64>,
    }
}

crate::define_event! {
    /// A vCPU is gone.
    pub event vmm:vcpu_destroy as VcpuDestroy {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
    }
}

crate::define_event! {
    /// A vCPU changes its state.
    ///
    /// The states are: 0 created, 1 off (waiting for PSCI CPU_ON), 2 ready, 3 running, 4 blocked, 5
    /// stopped.
    pub event vmm:vcpu_state_change as VcpuStateChange {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The state that it leaves, 0 to 5.
        from: u32,
        /// The state that it enters, 0 to 5.
        to: u32,
    }
}

crate::define_event! {
    /// A vCPU enters the guest: the last thing that the hypervisor does before it.
    ///
    /// The duration is the time since the last exit on the same CPU: how long the hypervisor, or
    /// the idle loop, had it.
    pub event vmm:vcpu_run_enter as VcpuRunEnter {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The guest-virtual address at which the guest goes on (ELR_EL2).
        pc: Hex<u64>,
    } duration = since vcpu_run_exit per cpu
}

crate::define_event! {
    /// A vCPU has left the guest: the first thing that the hypervisor does after it.
    ///
    /// The duration is the time since the last entry on the same CPU: how long the guest ran.
    pub event vmm:vcpu_run_exit as VcpuRunExit {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// Why: the exception class, ESR_EL2.EC, 0 to 63, for a synchronous exit (22 hypercall, 36
        /// data abort, 32 instruction abort, 1 WFI or WFE, 24 system register), 64 for an
        /// interrupt.
        reason: u32,
        /// The guest-virtual address at which the guest stopped (ELR_EL2).
        pc: Hex<u64>,
        /// The syndrome (ESR_EL2); 0 for an interrupt.
        esr: Hex<u64>,
        /// The guest-virtual address of an abort (FAR_EL2); otherwise 0.
        far: Hex<u64>,
        /// The guest-physical address of an abort (from HPFAR_EL2); otherwise 0.
        gpa: Hex<u64>,
    } duration = since vcpu_run_enter per cpu
}

crate::define_event! {
    /// A guest calls the hypervisor (HVC or SMC).
    pub event vmm:hypercall as Hypercall {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The function: x0, as SMCCC has it.
        function: Hex<u64>,
        /// The first argument: x1.
        arg0: Hex<u64>,
        /// The second argument: x2.
        arg1: Hex<u64>,
        /// The third argument: x3.
        arg2: Hex<u64>,
    }
}

crate::define_event! {
    /// A vCPU waits for an interrupt (WFI, WFE or PSCI CPU_SUSPEND).
    pub event vmm:vcpu_halt as VcpuHalt {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The guest-virtual address of the instruction.
        pc: Hex<u64>,
    }
}
