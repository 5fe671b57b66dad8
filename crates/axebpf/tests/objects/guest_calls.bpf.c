/* Counts the calls of a guest's function, and keeps how long the last one took. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

SEC("kprobe")
int entered(void *regs)
{
	__u32 at = 0;
	__u64 *count = bpf_map_lookup_elem(&calls, &at);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

SEC("kretprobe")
int returned(void *regs)
{
	__u32 at = 1;
	__u64 *took = bpf_map_lookup_elem(&calls, &at);

	if (took)
		*took = bpf_get_call_time_ns();
	return 0;
}
