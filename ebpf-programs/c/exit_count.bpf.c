/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/* Counts how often each virtual CPU left its guest, by reason. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct exit_key {
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 reason;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct exit_key);
	__type(value, __u64);
} exits SEC(".maps");

SEC("tracepoint/vmm/vcpu_run_exit")
int exit_count(struct vmm_vcpu_run_exit *event)
{
	struct exit_key key = {
		.vm_id = event->vm_id,
		.vcpu_id = event->vcpu_id,
		.reason = event->reason,
	};
	__u64 *count = bpf_map_lookup_elem(&exits, &key);
	__u64 first = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&exits, &key, &first, BPF_NOEXIST);
	return 0;
}
