/* Has a good map and a program that calls a helper which does not exist. */
#include "ping.h"

static long (*const no_such_helper)(void) = (void *)999;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} left_behind SEC(".maps");

SEC("tracepoint/facade/ping")
int refused(struct ping *ctx)
{
	__u32 zero = 0;

	bpf_map_lookup_elem(&left_behind, &zero);
	return no_such_helper();
}
