/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * The context of each event of the catalogue: the record that a program on tracepoint/<system>/<name> gets.
 * `cargo xtask build-programs` writes this file from the catalogue in axebpf-tp.
 */
#ifndef AXEBPF_EVENTS_H
#define AXEBPF_EVENTS_H

/* How each record begins, as in Linux. All but the type, which is the event's number, is 0. */
struct axebpf_event {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
};

/*
 * shell:shell_command
 * A command of the shell has ended.
 */
struct shell_shell_command {
	struct axebpf_event common;
	/* What the command returned: 0 for success, a negative error number otherwise. */
	__s32 result;
	/* The command line, cut to 63 bytes. */
	char line[64];
	__u8 __padding0[4];
	/* How long the command took, in nanoseconds. */
	__u64 duration_ns;
};
_Static_assert(sizeof(struct shell_shell_command) == 88, "as long as its record");

/*
 * shell:shell_init
 * The shell is ready for its first command.
 */
struct shell_shell_init {
	struct axebpf_event common;
	/* How many commands it knows. */
	__u32 commands;
	__u8 __padding0[4];
};
_Static_assert(sizeof(struct shell_shell_init) == 16, "as long as its record");

/*
 * vmm:config_load
 * The configuration of a VM has been read.
 */
struct vmm_config_load {
	struct axebpf_event common;
	/* The VM that it is for. */
	__u32 vm_id;
	__u8 __padding0[4];
	/* How many bytes it has. */
	__u64 size;
	/* Its name, or where it came from. */
	char name[32];
};
_Static_assert(sizeof(struct vmm_config_load) == 56, "as long as its record");

/*
 * vmm:cpu_up
 * A physical CPU has come up and runs the hypervisor.
 */
struct vmm_cpu_up {
	struct axebpf_event common;
	/* The CPU. */
	__u32 cpu;
	__u8 __padding0[4];
	/* Its affinity (MPIDR_EL1). */
	__u64 mpidr;
};
_Static_assert(sizeof(struct vmm_cpu_up) == 24, "as long as its record");

/*
 * vmm:device_access
 * A guest reads or writes a register of an emulated device.
 */
struct vmm_device_access {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The guest-physical address. */
	__u64 gpa;
	/* What is written, or what the guest gets to read. */
	__u64 value;
	/* How many bytes: 1, 2, 4 or 8. */
	__u32 size;
	/* Whether the guest writes. */
	__u8 write;
	__u8 __padding0[3];
};
_Static_assert(sizeof(struct vmm_device_access) == 40, "as long as its record");

/*
 * vmm:external_interrupt
 * A physical interrupt arrives while a guest runs, or while the hypervisor does.
 */
struct vmm_external_interrupt {
	struct axebpf_event common;
	/* The interrupt number (INTID): 0 to 15 SGI, 16 to 31 PPI, from 32 on SPI, from 8192 on
	 * LPI. */
	__u32 irq;
	/* Whether it took a vCPU out of its guest. */
	__u8 from_guest;
	__u8 __padding0[3];
	/* The VM whose guest was interrupted; 0 when `from_guest` is 0. */
	__u32 vm_id;
	/* The vCPU whose guest was interrupted; 0 when `from_guest` is 0. */
	__u32 vcpu_id;
};
_Static_assert(sizeof(struct vmm_external_interrupt) == 24, "as long as its record");

/*
 * vmm:hypercall
 * A guest calls the hypervisor (HVC or SMC).
 */
struct vmm_hypercall {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The function: x0, as SMCCC has it. */
	__u64 function;
	/* The first argument: x1. */
	__u64 arg0;
	/* The second argument: x2. */
	__u64 arg1;
	/* The third argument: x3. */
	__u64 arg2;
};
_Static_assert(sizeof(struct vmm_hypercall) == 48, "as long as its record");

/*
 * vmm:image_load
 * An image (kernel, device tree, initial file system) has been put into a VM's memory.
 */
struct vmm_image_load {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	__u8 __padding0[4];
	/* Where the guest sees it. */
	__u64 gpa;
	/* How many bytes it has. */
	__u64 size;
	/* Its name, or where it came from. */
	char name[32];
};
_Static_assert(sizeof(struct vmm_image_load) == 64, "as long as its record");

/*
 * vmm:ipi_send
 * One CPU signals others, or one vCPU others of its VM.
 */
struct vmm_ipi_send {
	struct axebpf_event common;
	/* The CPU, or for a guest the vCPU, that sends. */
	__u32 from;
	__u8 __padding0[4];
	/* Those that it goes to, one bit each from number 0 on; all ones for everybody else. */
	__u64 targets;
	/* The interrupt number (INTID), 0 to 15. */
	__u32 irq;
	/* Whether a guest sends it. */
	__u8 guest;
	__u8 __padding1[3];
	/* The VM of the guest; 0 when `guest` is 0. */
	__u32 vm_id;
	__u8 __padding2[4];
};
_Static_assert(sizeof(struct vmm_ipi_send) == 40, "as long as its record");

/*
 * vmm:irq_handle
 * The hypervisor has handled a physical interrupt.
 */
struct vmm_irq_handle {
	struct axebpf_event common;
	/* The interrupt number (INTID). */
	__u32 irq;
	/* Whether the hypervisor had a handler for it. */
	__u8 handled;
	__u8 __padding0[3];
};
_Static_assert(sizeof(struct vmm_irq_handle) == 16, "as long as its record");

/*
 * vmm:irq_inject
 * A virtual interrupt is made pending for a vCPU.
 */
struct vmm_irq_inject {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The virtual interrupt number (vINTID). */
	__u32 virq;
	/* Whether the virtual interrupt is tied to a physical one (ICH_LR.HW). */
	__u8 hardware;
	__u8 __padding0[3];
};
_Static_assert(sizeof(struct vmm_irq_inject) == 24, "as long as its record");

/*
 * vmm:memory_map
 * A range of a VM's memory is mapped.
 */
struct vmm_memory_map {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	__u8 __padding0[4];
	/* Where the guest sees it; a multiple of 4096. */
	__u64 gpa;
	/* Where it is; a multiple of 4096. */
	__u64 hpa;
	/* How much, in bytes; a multiple of 4096. */
	__u64 size;
	/* What the guest may do: 1 read, 2 write, 4 execute, 8 it is a device. */
	__u32 flags;
	__u8 __padding1[4];
};
_Static_assert(sizeof(struct vmm_memory_map) == 48, "as long as its record");

/*
 * vmm:memory_unmap
 * A range of a VM's memory is unmapped.
 */
struct vmm_memory_unmap {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	__u8 __padding0[4];
	/* Where the guest saw it; a multiple of 4096. */
	__u64 gpa;
	/* How much, in bytes; a multiple of 4096. */
	__u64 size;
};
_Static_assert(sizeof(struct vmm_memory_unmap) == 32, "as long as its record");

/*
 * vmm:page_fault
 * A guest touches memory that stage 2 does not let it touch.
 */
struct vmm_page_fault {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The guest-physical address, its lower 12 bits included where the CPU gives them. */
	__u64 gpa;
	/* The guest-virtual address (FAR_EL2). */
	__u64 gva;
	/* What the guest was doing: 1 reading, 2 writing, 4 executing. */
	__u32 access;
	/* The fault status (ESR_EL2.DFSC or IFSC), 0 to 63: 4 to 7 translation, 12 to 15
	 * permission. */
	__u32 status;
	/* The guest-virtual address of the instruction. */
	__u64 pc;
};
_Static_assert(sizeof(struct vmm_page_fault) == 48, "as long as its record");

/*
 * vmm:task_switch
 * A CPU goes from one task of the hypervisor, usually a vCPU, to another.
 *
 * Task numbers are the scheduler's own; `0xffffffff` is the idle task. The duration is how
 * long the previous task ran.
 */
struct vmm_task_switch {
	struct axebpf_event common;
	/* The task that stops. */
	__u32 prev;
	/* The task that goes on. */
	__u32 next;
	/* The VM of the vCPU that goes on; `0xffffffff` when the task is none. */
	__u32 vm_id;
	/* The vCPU that goes on; `0xffffffff` when the task is none. */
	__u32 vcpu_id;
};
_Static_assert(sizeof(struct vmm_task_switch) == 24, "as long as its record");

/*
 * vmm:timer_event
 * A timer of the hypervisor, or of a guest that it emulates, expires.
 */
struct vmm_timer_event {
	struct axebpf_event common;
	/* The VM that the timer belongs to; `0xffffffff` for the hypervisor's own. */
	__u32 vm_id;
	/* The vCPU that the timer belongs to; `0xffffffff` for the hypervisor's own. */
	__u32 vcpu_id;
	/* When it was to expire, in nanoseconds since the machine started. */
	__u64 deadline_ns;
	/* How late it is, in nanoseconds. */
	__u64 late_ns;
};
_Static_assert(sizeof(struct vmm_timer_event) == 32, "as long as its record");

/*
 * vmm:timer_tick
 * The hypervisor's periodic timer interrupt.
 */
struct vmm_timer_tick {
	struct axebpf_event common;
	/* How often it came on this CPU before. */
	__u64 ticks;
	/* The next deadline, in nanoseconds since the machine started; 0 when there is none. */
	__u64 next_ns;
};
_Static_assert(sizeof(struct vmm_timer_tick) == 24, "as long as its record");

/*
 * vmm:vcpu_create
 * A vCPU exists.
 */
struct vmm_vcpu_create {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The CPUs that it may run on, one bit each from CPU 0 on; all ones when it may run
	 * anywhere. */
	__u64 cpu_mask;
};
_Static_assert(sizeof(struct vmm_vcpu_create) == 24, "as long as its record");

/*
 * vmm:vcpu_destroy
 * A vCPU is gone.
 */
struct vmm_vcpu_destroy {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
};
_Static_assert(sizeof(struct vmm_vcpu_destroy) == 16, "as long as its record");

/*
 * vmm:vcpu_halt
 * A vCPU waits for an interrupt (WFI, WFE or PSCI CPU_SUSPEND).
 */
struct vmm_vcpu_halt {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The guest-virtual address of the instruction. */
	__u64 pc;
};
_Static_assert(sizeof(struct vmm_vcpu_halt) == 24, "as long as its record");

/*
 * vmm:vcpu_run_enter
 * A vCPU enters the guest: the last thing that the hypervisor does before it.
 *
 * The duration is the time since the last exit on the same CPU: how long the hypervisor, or
 * the idle loop, had it.
 */
struct vmm_vcpu_run_enter {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The guest-virtual address at which the guest goes on (ELR_EL2). */
	__u64 pc;
};
_Static_assert(sizeof(struct vmm_vcpu_run_enter) == 24, "as long as its record");

/*
 * vmm:vcpu_run_exit
 * A vCPU has left the guest: the first thing that the hypervisor does after it.
 *
 * The duration is the time since the last entry on the same CPU: how long the guest ran.
 */
struct vmm_vcpu_run_exit {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* Why: the exception class, ESR_EL2.EC, 0 to 63, for a synchronous exit (22 hypercall, 36
	 * data abort, 32 instruction abort, 1 WFI or WFE, 24 system register), 64 for an
	 * interrupt. */
	__u32 reason;
	__u8 __padding0[4];
	/* The guest-virtual address at which the guest stopped (ELR_EL2). */
	__u64 pc;
	/* The syndrome (ESR_EL2); 0 for an interrupt. */
	__u64 esr;
	/* The guest-virtual address of an abort (FAR_EL2); otherwise 0. */
	__u64 far;
	/* The guest-physical address of an abort (from HPFAR_EL2); otherwise 0. */
	__u64 gpa;
};
_Static_assert(sizeof(struct vmm_vcpu_run_exit) == 56, "as long as its record");

/*
 * vmm:vcpu_state_change
 * A vCPU changes its state.
 *
 * The states are: 0 created, 1 off (waiting for PSCI CPU_ON), 2 ready, 3 running, 4 blocked, 5
 * stopped.
 */
struct vmm_vcpu_state_change {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* The vCPU. */
	__u32 vcpu_id;
	/* The state that it leaves, 0 to 5. */
	__u32 from;
	/* The state that it enters, 0 to 5. */
	__u32 to;
};
_Static_assert(sizeof(struct vmm_vcpu_state_change) == 24, "as long as its record");

/*
 * vmm:vhal_init
 * A CPU is ready to run guests: its virtualization hardware is set up.
 */
struct vmm_vhal_init {
	struct axebpf_event common;
	/* The CPU. */
	__u32 cpu;
	/* How many bits guest-physical addresses have. */
	__u32 ipa_bits;
	/* What stage-2 translation is set to (VTCR_EL2). */
	__u64 vtcr;
};
_Static_assert(sizeof(struct vmm_vhal_init) == 24, "as long as its record");

/*
 * vmm:vm_boot
 * A VM starts to run: its first vCPU is about to enter the guest.
 */
struct vmm_vm_boot {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* How many vCPUs it has. */
	__u32 vcpus;
	/* The guest-physical address at which the first vCPU starts. */
	__u64 entry;
};
_Static_assert(sizeof(struct vmm_vm_boot) == 24, "as long as its record");

/*
 * vmm:vm_create
 * A VM exists: its memory and vCPUs can be set up.
 */
struct vmm_vm_create {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* How many vCPUs its configuration asks for. */
	__u32 vcpus;
	/* How much memory its configuration asks for, in bytes. */
	__u64 memory;
	/* Its name. */
	char name[32];
};
_Static_assert(sizeof(struct vmm_vm_create) == 56, "as long as its record");

/*
 * vmm:vm_destroy
 * A VM is gone, and its memory with it.
 */
struct vmm_vm_destroy {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	__u8 __padding0[4];
};
_Static_assert(sizeof(struct vmm_vm_destroy) == 16, "as long as its record");

/*
 * vmm:vm_shutdown
 * A VM stops running.
 */
struct vmm_vm_shutdown {
	struct axebpf_event common;
	/* The VM. */
	__u32 vm_id;
	/* Why: 0 the guest asked for it, 1 the guest asked for a reset, 2 the operator asked for
	 * it, 3 the guest failed, 4 the hypervisor failed. */
	__u32 reason;
};
_Static_assert(sizeof(struct vmm_vm_shutdown) == 16, "as long as its record");

/*
 * vmm:vmm_init
 * The virtual machine monitor is initialised: VMs can be created.
 */
struct vmm_vmm_init {
	struct axebpf_event common;
	/* How many CPUs it runs on. */
	__u32 cpus;
	__u8 __padding0[4];
	/* How much memory it has to give, in bytes. */
	__u64 memory;
};
_Static_assert(sizeof(struct vmm_vmm_init) == 24, "as long as its record");

#endif /* AXEBPF_EVENTS_H */
