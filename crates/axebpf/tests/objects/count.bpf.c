/* Counts pings in an array, and by value in a hash. */
#include "ping.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} by_value SEC(".maps");

SEC("tracepoint/facade/ping")
int count(struct ping *ctx)
{
	__u32 zero = 0;
	__u64 key = ctx->value, one = 1;
	__u64 *total = bpf_map_lookup_elem(&totals, &zero);
	__u64 *seen = bpf_map_lookup_elem(&by_value, &key);

	if (total)
		__sync_fetch_and_add(total, 1);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&by_value, &key, &one, BPF_ANY);
	return 0;
}
