/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * The context of each event of the catalogue: the record that a program on `tracepoint/<system>/<name>` gets.
 * Written by `cargo xtask build-programs --events` from the catalogue; do not edit.
 */
#ifndef AXEBPF_EVENTS_H
#define AXEBPF_EVENTS_H

/* How each record begins, as in Linux. */
struct axebpf_event {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
};

/* vmm:vcpu_run_enter */
struct vmm_vcpu_run_enter {
	struct axebpf_event common;
	__u32 vm_id;
	__u32 vcpu_id;
};

/* vmm:vcpu_run_exit */
struct vmm_vcpu_run_exit {
	struct axebpf_event common;
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 reason;
	__u32 __pad0;
	__u64 pc;
};

/* vmm:hypercall */
struct vmm_hypercall {
	struct axebpf_event common;
	__u32 vm_id;
	__u32 vcpu_id;
	__u64 number;
};

#endif /* AXEBPF_EVENTS_H */
