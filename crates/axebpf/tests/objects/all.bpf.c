/* Everything that a program does at a hit: global data, a hash, per-CPU data, the ring buffer, printk. */
#include "ping.h"

struct record {
	__u64 value;
	__u64 time;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

__u64 runs = 0;

SEC("tracepoint/facade/ping")
int all(struct ping *ctx)
{
	__u32 zero = 0;
	__u64 key = ctx->value;
	__u64 *mine = bpf_map_lookup_elem(&per_cpu, &zero);
	struct record *record;

	__sync_fetch_and_add(&runs, 1);
	if (mine)
		(*mine)++;
	bpf_map_update_elem(&values, &key, &key, BPF_ANY);
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (record) {
		record->value = ctx->value;
		record->time = bpf_ktime_get_ns();
		bpf_ringbuf_submit(record, 0);
	}
	bpf_printk("ping %llu on cpu %u", ctx->value, ctx->cpu);
	return 0;
}
