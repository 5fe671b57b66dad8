/* Counters of each CPU, and their sum. */
#include "fixture.h"

#define CPUS 64

struct counters {
	__u64 events;
	__u64 bytes;
};

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct {
	__uint(type, MAP_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} by_vm SEC(".maps");

struct sum {
	__u64 events;
	__u64 bytes;
};

SEC("tp/net/receive")
int receive(struct { __u64 common; __u32 vm_id; __u32 bytes; } *ctx)
{
	__u32 zero = 0, vm = ctx->vm_id;
	struct counters *mine = map_lookup_elem(&counters, &zero);
	__u64 one = 1, *count = map_lookup_elem(&by_vm, &vm);

	if (!mine)
		return 1;
	mine->events++;
	mine->bytes += ctx->bytes;
	if (count)
		*count += 1;
	else
		map_update_elem(&by_vm, &vm, &one, 0);
	return 0;
}

static long add(__u32 cpu, struct sum *sum)
{
	__u32 zero = 0;
	struct counters *its = map_lookup_percpu_elem(&counters, &zero, cpu);

	if (!its)
		return 1;
	sum->events += its->events;
	sum->bytes += its->bytes;
	return 0;
}

__u64 total_events, total_bytes;

SEC("tp/timer/tick")
int report(void *ctx)
{
	struct sum sum = {};
	long cpus = loop(CPUS, add, &sum, 0);

	total_events = sum.events;
	total_bytes = sum.bytes;
	return cpus;
}

char LICENSE[] SEC("license") = "GPL";
