/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * Streams what a Linux guest on arm64 executes: link attach guest_exec, then
 * map dump execs --for 10 --value u64,u32,u32,text16,text64.
 *
 * __arm64_sys_execve(regs) gets the registers of the program that calls it; the first of them is where its memory has
 * the path.
 */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct exec_event {
	__u64 time_ns;
	__u32 vm_id;
	__u32 pid;
	/* Who calls: the name from before. */
	char comm[16];
	char path[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} execs SEC(".maps");

SEC("kprobe/__arm64_sys_execve")
int guest_exec(struct user_pt_regs *regs)
{
	struct user_pt_regs *call = (struct user_pt_regs *)PT_REGS_PARM1(regs);
	struct exec_event *event = bpf_ringbuf_reserve(&execs, sizeof(*event), 0);
	__u64 path = 0;

	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
	event->vm_id = bpf_get_current_vm_id();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_kernel(&path, sizeof(path), &call->regs[0]);
	bpf_probe_read_user_str(event->path, sizeof(event->path), (void *)path);
	bpf_ringbuf_submit(event, 0);
	return 0;
}
