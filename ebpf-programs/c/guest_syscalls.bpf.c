/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * Counts the system calls of a Linux guest on arm64 by number and by the name of the task that makes them:
 * link attach guest_syscalls kprobe:vm1:invoke_syscall, then
 * map dump syscalls --key u32,text16.
 *
 * invoke_syscall(regs, number, ...) is what every call passes that the kernel does not refuse; its second argument is
 * the number.
 */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct syscall_key {
	__u32 number;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct syscall_key);
	__type(value, __u64);
} syscalls SEC(".maps");

SEC("kprobe/invoke_syscall")
int guest_syscalls(struct user_pt_regs *regs)
{
	struct syscall_key key = { .number = regs->regs[1] };
	__u64 *count, first = 1;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	count = bpf_map_lookup_elem(&syscalls, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&syscalls, &key, &first, BPF_NOEXIST);
	return 0;
}
