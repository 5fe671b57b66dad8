/* Reserves a record and forgets it. */
#include "ping.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

SEC("tracepoint/facade/ping")
int leak(struct ping *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&records, 16, 0);

	if (record)
		*record = ctx->value;
	return 0;
}
