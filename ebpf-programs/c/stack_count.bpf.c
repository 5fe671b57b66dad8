/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/* Counts on which ways the hypervisor came to handling a guest's exit: the call chains at vmm:vcpu_run_exit. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

#define DEPTH 32

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 256);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* By the number that a chain has in `stacks`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} stack_counts SEC(".maps");

SEC("tracepoint/vmm/vcpu_run_exit")
int stack_count(struct vmm_vcpu_run_exit *event)
{
	long id = bpf_get_stackid(event, &stacks, 0);
	__u32 key = id;
	__u64 *count, first = 1;

	if (id < 0)
		return 0;
	count = bpf_map_lookup_elem(&stack_counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&stack_counts, &key, &first, BPF_NOEXIST);
	return 0;
}
