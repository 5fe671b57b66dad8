//! The context of each event of the catalogue.
//!
//! `cargo xtask build-programs` writes this file from the catalogue in axebpf-tp.

use crate::Event;

/// How each record begins, as in Linux.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EventHeader {
    /// The event's number.
    pub common_type: u16,
    /// Always 0.
    pub common_flags: u8,
    /// Always 0.
    pub common_preempt_count: u8,
    /// Always 0: a hypervisor has no processes.
    pub common_pid: i32,
}

/// The events of the system `vmm`.
pub mod vmm {
    use super::{Event, EventHeader};

    /// The record of `vmm:config_load`.
    ///
    /// The configuration of a VM has been read.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct ConfigLoad {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM that it is for.
        pub vm_id: u32,
        _padding0: [u8; 4],
        /// How many bytes it has.
        pub size: u64,
        /// Its name, or where it came from.
        pub name: [u8; 32],
    }

    const _: () = assert!(size_of::<ConfigLoad>() == 56);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for ConfigLoad {
        const NAME: &'static str = "vmm:config_load";
    }

    /// The record of `vmm:cpu_up`.
    ///
    /// A physical CPU has come up and runs the hypervisor.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct CpuUp {
        /// How each record begins.
        pub common: EventHeader,
        /// The CPU.
        pub cpu: u32,
        _padding0: [u8; 4],
        /// Its affinity (MPIDR_EL1).
        pub mpidr: u64,
    }

    const _: () = assert!(size_of::<CpuUp>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for CpuUp {
        const NAME: &'static str = "vmm:cpu_up";
    }

    /// The record of `vmm:device_access`.
    ///
    /// A guest reads or writes a register of an emulated device.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct DeviceAccess {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The guest-physical address.
        pub gpa: u64,
        /// What is written, or what the guest gets to read.
        pub value: u64,
        /// How many bytes: 1, 2, 4 or 8.
        pub size: u32,
        /// Whether the guest writes.
        pub write: u8,
        _padding0: [u8; 3],
    }

    const _: () = assert!(size_of::<DeviceAccess>() == 40);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for DeviceAccess {
        const NAME: &'static str = "vmm:device_access";
    }

    /// The record of `vmm:external_interrupt`.
    ///
    /// A physical interrupt arrives while a guest runs, or while the hypervisor does.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct ExternalInterrupt {
        /// How each record begins.
        pub common: EventHeader,
        /// The interrupt number (INTID): 0 to 15 SGI, 16 to 31 PPI, from 32 on SPI, from 8192 on
        /// LPI.
        pub irq: u32,
        /// Whether it took a vCPU out of its guest.
        pub from_guest: u8,
        _padding0: [u8; 3],
        /// The VM whose guest was interrupted; 0 when `from_guest` is 0.
        pub vm_id: u32,
        /// The vCPU whose guest was interrupted; 0 when `from_guest` is 0.
        pub vcpu_id: u32,
    }

    const _: () = assert!(size_of::<ExternalInterrupt>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for ExternalInterrupt {
        const NAME: &'static str = "vmm:external_interrupt";
    }

    /// The record of `vmm:hypercall`.
    ///
    /// A guest calls the hypervisor (HVC or SMC).
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Hypercall {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The function: x0, as SMCCC has it.
        pub function: u64,
        /// The first argument: x1.
        pub arg0: u64,
        /// The second argument: x2.
        pub arg1: u64,
        /// The third argument: x3.
        pub arg2: u64,
    }

    const _: () = assert!(size_of::<Hypercall>() == 48);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for Hypercall {
        const NAME: &'static str = "vmm:hypercall";
    }

    /// The record of `vmm:image_load`.
    ///
    /// An image (kernel, device tree, initial file system) has been put into a VM's memory.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct ImageLoad {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        _padding0: [u8; 4],
        /// Where the guest sees it.
        pub gpa: u64,
        /// How many bytes it has.
        pub size: u64,
        /// Its name, or where it came from.
        pub name: [u8; 32],
    }

    const _: () = assert!(size_of::<ImageLoad>() == 64);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for ImageLoad {
        const NAME: &'static str = "vmm:image_load";
    }

    /// The record of `vmm:ipi_send`.
    ///
    /// One CPU signals others, or one vCPU others of its VM.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct IpiSend {
        /// How each record begins.
        pub common: EventHeader,
        /// The CPU, or for a guest the vCPU, that sends.
        pub from: u32,
        _padding0: [u8; 4],
        /// Those that it goes to, one bit each from number 0 on; all ones for everybody else.
        pub targets: u64,
        /// The interrupt number (INTID), 0 to 15.
        pub irq: u32,
        /// Whether a guest sends it.
        pub guest: u8,
        _padding1: [u8; 3],
        /// The VM of the guest; 0 when `guest` is 0.
        pub vm_id: u32,
        _padding2: [u8; 4],
    }

    const _: () = assert!(size_of::<IpiSend>() == 40);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for IpiSend {
        const NAME: &'static str = "vmm:ipi_send";
    }

    /// The record of `vmm:irq_handle`.
    ///
    /// The hypervisor has handled a physical interrupt.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct IrqHandle {
        /// How each record begins.
        pub common: EventHeader,
        /// The interrupt number (INTID).
        pub irq: u32,
        /// Whether the hypervisor had a handler for it.
        pub handled: u8,
        _padding0: [u8; 3],
    }

    const _: () = assert!(size_of::<IrqHandle>() == 16);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for IrqHandle {
        const NAME: &'static str = "vmm:irq_handle";
    }

    /// The record of `vmm:irq_inject`.
    ///
    /// A virtual interrupt is made pending for a vCPU.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct IrqInject {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The virtual interrupt number (vINTID).
        pub virq: u32,
        /// Whether the virtual interrupt is tied to a physical one (ICH_LR.HW).
        pub hardware: u8,
        _padding0: [u8; 3],
    }

    const _: () = assert!(size_of::<IrqInject>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for IrqInject {
        const NAME: &'static str = "vmm:irq_inject";
    }

    /// The record of `vmm:memory_map`.
    ///
    /// A range of a VM's memory is mapped.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct MemoryMap {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        _padding0: [u8; 4],
        /// Where the guest sees it; a multiple of 4096.
        pub gpa: u64,
        /// Where it is; a multiple of 4096.
        pub hpa: u64,
        /// How much, in bytes; a multiple of 4096.
        pub size: u64,
        /// What the guest may do: 1 read, 2 write, 4 execute, 8 it is a device.
        pub flags: u32,
        _padding1: [u8; 4],
    }

    const _: () = assert!(size_of::<MemoryMap>() == 48);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for MemoryMap {
        const NAME: &'static str = "vmm:memory_map";
    }

    /// The record of `vmm:memory_unmap`.
    ///
    /// A range of a VM's memory is unmapped.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct MemoryUnmap {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        _padding0: [u8; 4],
        /// Where the guest saw it; a multiple of 4096.
        pub gpa: u64,
        /// How much, in bytes; a multiple of 4096.
        pub size: u64,
    }

    const _: () = assert!(size_of::<MemoryUnmap>() == 32);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for MemoryUnmap {
        const NAME: &'static str = "vmm:memory_unmap";
    }

    /// The record of `vmm:page_fault`.
    ///
    /// A guest touches memory that stage 2 does not let it touch.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct PageFault {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The guest-physical address, its lower 12 bits included where the CPU gives them.
        pub gpa: u64,
        /// The guest-virtual address (FAR_EL2).
        pub gva: u64,
        /// What the guest was doing: 1 reading, 2 writing, 4 executing.
        pub access: u32,
        /// The fault status (ESR_EL2.DFSC or IFSC), 0 to 63: 4 to 7 translation, 12 to 15
        /// permission.
        pub status: u32,
        /// The guest-virtual address of the instruction.
        pub pc: u64,
    }

    const _: () = assert!(size_of::<PageFault>() == 48);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for PageFault {
        const NAME: &'static str = "vmm:page_fault";
    }

    /// The record of `vmm:task_switch`.
    ///
    /// A CPU goes from one task of the hypervisor, usually a vCPU, to another.
    ///
    /// Task numbers are the scheduler's own; `0xffffffff` is the idle task. The duration is how
    /// long the previous task ran.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct TaskSwitch {
        /// How each record begins.
        pub common: EventHeader,
        /// The task that stops.
        pub prev: u32,
        /// The task that goes on.
        pub next: u32,
        /// The VM of the vCPU that goes on; `0xffffffff` when the task is none.
        pub vm_id: u32,
        /// The vCPU that goes on; `0xffffffff` when the task is none.
        pub vcpu_id: u32,
    }

    const _: () = assert!(size_of::<TaskSwitch>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for TaskSwitch {
        const NAME: &'static str = "vmm:task_switch";
    }

    /// The record of `vmm:timer_event`.
    ///
    /// A timer of the hypervisor, or of a guest that it emulates, expires.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct TimerEvent {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM that the timer belongs to; `0xffffffff` for the hypervisor's own.
        pub vm_id: u32,
        /// The vCPU that the timer belongs to; `0xffffffff` for the hypervisor's own.
        pub vcpu_id: u32,
        /// When it was to expire, in nanoseconds since the machine started.
        pub deadline_ns: u64,
        /// How late it is, in nanoseconds.
        pub late_ns: u64,
    }

    const _: () = assert!(size_of::<TimerEvent>() == 32);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for TimerEvent {
        const NAME: &'static str = "vmm:timer_event";
    }

    /// The record of `vmm:timer_tick`.
    ///
    /// The hypervisor's periodic timer interrupt.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct TimerTick {
        /// How each record begins.
        pub common: EventHeader,
        /// How often it came on this CPU before.
        pub ticks: u64,
        /// The next deadline, in nanoseconds since the machine started; 0 when there is none.
        pub next_ns: u64,
    }

    const _: () = assert!(size_of::<TimerTick>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for TimerTick {
        const NAME: &'static str = "vmm:timer_tick";
    }

    /// The record of `vmm:vcpu_create`.
    ///
    /// A vCPU exists.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuCreate {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The CPUs that it may run on, one bit each from CPU 0 on; all ones when it may run
        /// anywhere.
        pub cpu_mask: u64,
    }

    const _: () = assert!(size_of::<VcpuCreate>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuCreate {
        const NAME: &'static str = "vmm:vcpu_create";
    }

    /// The record of `vmm:vcpu_destroy`.
    ///
    /// A vCPU is gone.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuDestroy {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
    }

    const _: () = assert!(size_of::<VcpuDestroy>() == 16);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuDestroy {
        const NAME: &'static str = "vmm:vcpu_destroy";
    }

    /// The record of `vmm:vcpu_halt`.
    ///
    /// A vCPU waits for an interrupt (WFI, WFE or PSCI CPU_SUSPEND).
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuHalt {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The guest-virtual address of the instruction.
        pub pc: u64,
    }

    const _: () = assert!(size_of::<VcpuHalt>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuHalt {
        const NAME: &'static str = "vmm:vcpu_halt";
    }

    /// The record of `vmm:vcpu_run_enter`.
    ///
    /// A vCPU enters the guest: the last thing that the hypervisor does before it.
    ///
    /// The duration is the time since the last exit on the same CPU: how long the hypervisor, or
    /// the idle loop, had it.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuRunEnter {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The guest-virtual address at which the guest goes on (ELR_EL2).
        pub pc: u64,
    }

    const _: () = assert!(size_of::<VcpuRunEnter>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuRunEnter {
        const NAME: &'static str = "vmm:vcpu_run_enter";
    }

    /// The record of `vmm:vcpu_run_exit`.
    ///
    /// A vCPU has left the guest: the first thing that the hypervisor does after it.
    ///
    /// The duration is the time since the last entry on the same CPU: how long the guest ran.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuRunExit {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// Why: the exception class, ESR_EL2.EC, 0 to 63, for a synchronous exit (22 hypercall, 36
        /// data abort, 32 instruction abort, 1 WFI or WFE, 24 system register), 64 for an
        /// interrupt.
        pub reason: u32,
        _padding0: [u8; 4],
        /// The guest-virtual address at which the guest stopped (ELR_EL2).
        pub pc: u64,
        /// The syndrome (ESR_EL2); 0 for an interrupt.
        pub esr: u64,
        /// The guest-virtual address of an abort (FAR_EL2); otherwise 0.
        pub far: u64,
        /// The guest-physical address of an abort (from HPFAR_EL2); otherwise 0.
        pub gpa: u64,
    }

    const _: () = assert!(size_of::<VcpuRunExit>() == 56);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuRunExit {
        const NAME: &'static str = "vmm:vcpu_run_exit";
    }

    /// The record of `vmm:vcpu_state_change`.
    ///
    /// A vCPU changes its state.
    ///
    /// The states are: 0 created, 1 off (waiting for PSCI CPU_ON), 2 ready, 3 running, 4 blocked, 5
    /// stopped.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuStateChange {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// The vCPU.
        pub vcpu_id: u32,
        /// The state that it leaves, 0 to 5.
        pub from: u32,
        /// The state that it enters, 0 to 5.
        pub to: u32,
    }

    const _: () = assert!(size_of::<VcpuStateChange>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VcpuStateChange {
        const NAME: &'static str = "vmm:vcpu_state_change";
    }

    /// The record of `vmm:vhal_init`.
    ///
    /// A CPU is ready to run guests: its virtualization hardware is set up.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VhalInit {
        /// How each record begins.
        pub common: EventHeader,
        /// The CPU.
        pub cpu: u32,
        /// How many bits guest-physical addresses have.
        pub ipa_bits: u32,
        /// What stage-2 translation is set to (VTCR_EL2).
        pub vtcr: u64,
    }

    const _: () = assert!(size_of::<VhalInit>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VhalInit {
        const NAME: &'static str = "vmm:vhal_init";
    }

    /// The record of `vmm:vm_boot`.
    ///
    /// A VM starts to run: its first vCPU is about to enter the guest.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VmBoot {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// How many vCPUs it has.
        pub vcpus: u32,
        /// The guest-physical address at which the first vCPU starts.
        pub entry: u64,
    }

    const _: () = assert!(size_of::<VmBoot>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VmBoot {
        const NAME: &'static str = "vmm:vm_boot";
    }

    /// The record of `vmm:vm_create`.
    ///
    /// A VM exists: its memory and vCPUs can be set up.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VmCreate {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// How many vCPUs its configuration asks for.
        pub vcpus: u32,
        /// How much memory its configuration asks for, in bytes.
        pub memory: u64,
        /// Its name.
        pub name: [u8; 32],
    }

    const _: () = assert!(size_of::<VmCreate>() == 56);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VmCreate {
        const NAME: &'static str = "vmm:vm_create";
    }

    /// The record of `vmm:vm_destroy`.
    ///
    /// A VM is gone, and its memory with it.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VmDestroy {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        _padding0: [u8; 4],
    }

    const _: () = assert!(size_of::<VmDestroy>() == 16);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VmDestroy {
        const NAME: &'static str = "vmm:vm_destroy";
    }

    /// The record of `vmm:vm_shutdown`.
    ///
    /// A VM stops running.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VmShutdown {
        /// How each record begins.
        pub common: EventHeader,
        /// The VM.
        pub vm_id: u32,
        /// Why: 0 the guest asked for it, 1 the guest asked for a reset, 2 the operator asked for
        /// it, 3 the guest failed, 4 the hypervisor failed.
        pub reason: u32,
    }

    const _: () = assert!(size_of::<VmShutdown>() == 16);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VmShutdown {
        const NAME: &'static str = "vmm:vm_shutdown";
    }

    /// The record of `vmm:vmm_init`.
    ///
    /// The virtual machine monitor is initialised: VMs can be created.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VmmInit {
        /// How each record begins.
        pub common: EventHeader,
        /// How many CPUs it runs on.
        pub cpus: u32,
        _padding0: [u8; 4],
        /// How much memory it has to give, in bytes.
        pub memory: u64,
    }

    const _: () = assert!(size_of::<VmmInit>() == 24);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for VmmInit {
        const NAME: &'static str = "vmm:vmm_init";
    }
}

/// The events of the system `shell`.
pub mod shell {
    use super::{Event, EventHeader};

    /// The record of `shell:shell_command`.
    ///
    /// A command of the shell has ended.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct ShellCommand {
        /// How each record begins.
        pub common: EventHeader,
        /// What the command returned: 0 for success, a negative error number otherwise.
        pub result: i32,
        /// The command line, cut to 63 bytes.
        pub line: [u8; 64],
        _padding0: [u8; 4],
        /// How long the command took, in nanoseconds.
        pub duration_ns: u64,
    }

    const _: () = assert!(size_of::<ShellCommand>() == 88);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for ShellCommand {
        const NAME: &'static str = "shell:shell_command";
    }

    /// The record of `shell:shell_init`.
    ///
    /// The shell is ready for its first command.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct ShellInit {
        /// How each record begins.
        pub common: EventHeader,
        /// How many commands it knows.
        pub commands: u32,
        _padding0: [u8; 4],
    }

    const _: () = assert!(size_of::<ShellInit>() == 16);

    // SAFETY: The layout is the event's own, and every bit pattern is an integer.
    unsafe impl Event for ShellInit {
        const NAME: &'static str = "shell:shell_init";
    }
}
