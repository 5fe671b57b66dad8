/* Counts in a map that all objects with this name share. */
#include "ping.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shared_total SEC(".maps");

SEC("tracepoint/facade/ping")
int share(struct ping *ctx)
{
	__u32 zero = 0;
	__u64 *total = bpf_map_lookup_elem(&shared_total, &zero);

	if (total)
		__sync_fetch_and_add(total, 1);
	return 0;
}
