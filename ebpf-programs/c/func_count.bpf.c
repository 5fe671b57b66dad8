/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * Counts the calls of functions of the hypervisor: link attach func_count hprobe:'GLOB', then
 * map dump calls --key sym.
 */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

/* By the address of the function. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} calls SEC(".maps");

SEC("hprobe")
int func_count(struct user_pt_regs *regs)
{
	__u64 function = bpf_get_func_ip(regs);
	__u64 *count = bpf_map_lookup_elem(&calls, &function);
	__u64 first = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&calls, &function, &first, BPF_NOEXIST);
	return 0;
}
