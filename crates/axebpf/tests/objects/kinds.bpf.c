/* Has a map of each kind that is not just keys and values, and a program that goes on as another one. */
#include "ping.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 4 * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u64);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__type(value, __u64);
} nested SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} recent SEC(".maps");

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ours SEC(".maps"), theirs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct counts);
} per_vm SEC(".maps");

/* Sends the event, then goes on as target 0. */
SEC("tracepoint/facade/ping")
int first(struct ping *ctx)
{
	__u64 value = ctx->value;

	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &value, sizeof(value));
	bpf_map_push_elem(&waiting, &value, BPF_ANY);
	bpf_map_push_elem(&nested, &value, BPF_ANY);
	bpf_map_push_elem(&seen, &value, BPF_ANY);
	bpf_map_update_elem(&recent, &value, &value, BPF_ANY);
	bpf_get_stackid(ctx, &stacks, 0);
	bpf_tail_call(ctx, &targets, 0);
	return 0;
}

/* Counts in the map of VM 1. */
SEC("tracepoint/facade/ping")
int second(struct ping *ctx)
{
	__u32 vm = 1, zero = 0;
	__u64 *count;
	void *inner = bpf_map_lookup_elem(&per_vm, &vm);

	if (!inner)
		return 0;
	count = bpf_map_lookup_elem(inner, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	bpf_tail_call(ctx, &targets, 1);
	return 0;
}
