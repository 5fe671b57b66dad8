//! Interrupts, timers, and the signals between CPUs.

use crate::field_type::Hex;

crate::define_event! {
    /// A physical interrupt arrives while a guest runs, or while the hypervisor does.
    pub event vmm:external_interrupt as ExternalInterrupt {
        /// The interrupt number (INTID): 0 to 15 SGI, 16 to 31 PPI, from 32 on SPI, from 8192 on
        /// LPI.
        irq: u32,
        /// Whether it took a vCPU out of its guest.
        from_guest: bool,
        /// The VM whose guest was interrupted; 0 when `from_guest` is 0.
        vm_id: u32,
        /// The vCPU whose guest was interrupted; 0 when `from_guest` is 0.
        vcpu_id: u32,
    }
}

crate::define_event! {
    /// The hypervisor has handled a physical interrupt.
    pub event vmm:irq_handle as IrqHandle {
        /// The interrupt number (INTID).
        irq: u32,
        /// Whether the hypervisor had a handler for it.
        handled: bool,
    } duration = since external_interrupt per cpu
}

crate::define_event! {
    /// A virtual interrupt is made pending for a vCPU.
    pub event vmm:irq_inject as IrqInject {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The virtual interrupt number (vINTID).
        virq: u32,
        /// Whether the virtual interrupt is tied to a physical one (ICH_LR.HW).
        hardware: bool,
    }
}

crate::define_event! {
    /// One CPU signals others, or one vCPU others of its VM.
    pub event vmm:ipi_send as IpiSend {
        /// The CPU, or for a guest the vCPU, that sends.
        from: u32,
        /// Those that it goes to, one bit each from number 0 on; all ones for everybody else.
        targets: Hex<u64>,
        /// The interrupt number (INTID), 0 to 15.
        irq: u32,
        /// Whether a guest sends it.
        guest: bool,
        /// The VM of the guest; 0 when `guest` is 0.
        vm_id: u32,
    }
}

crate::define_event! {
    /// The hypervisor's periodic timer interrupt.
    pub event vmm:timer_tick as TimerTick {
        /// How often it came on this CPU before.
        ticks: u64,
        /// The next deadline, in nanoseconds since the machine started; 0 when there is none.
        next_ns: u64,
    }
}

crate::define_event! {
    /// A timer of the hypervisor, or of a guest that it emulates, expires.
    pub event vmm:timer_event as TimerEvent {
        /// The VM that the timer belongs to; `0xffffffff` for the hypervisor's own.
        vm_id: u32,
        /// The vCPU that the timer belongs to; `0xffffffff` for the hypervisor's own.
        vcpu_id: u32,
        /// When it was to expire, in nanoseconds since the machine started.
        deadline_ns: u64,
        /// How late it is, in nanoseconds.
        late_ns: u64,
    } duration = late_ns
}
