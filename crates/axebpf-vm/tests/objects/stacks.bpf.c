/* Where the hypervisor is: call chains, counted by their number and streamed as they are. */
#include "fixture.h"

#define DEPTH 16

struct {
	__uint(type, MAP_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, DEPTH * 8);
} chains SEC(".maps");

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 4096);
} stream SEC(".maps");

struct sample {
	__u64 time_ns;
	__s64 bytes;
	__u64 addresses[DEPTH];
};

SEC("hprobe/handle_stage2_fault")
int collect(void *ctx)
{
	__s64 id = get_stackid(ctx, &chains, 0);
	__u32 key = id;
	__u64 one = 1, *count;

	if (id < 0)
		return id;
	count = map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		map_update_elem(&counts, &key, &one, 0);
	return 0;
}

SEC("hprobe/handle_hvc")
int sample(void *ctx)
{
	struct sample *sample = ringbuf_reserve(&stream, sizeof(*sample), 0);

	if (!sample)
		return 1;
	sample->time_ns = ktime_get_ns();
	sample->bytes = get_stack(ctx, sample->addresses, sizeof(sample->addresses), 1);
	ringbuf_submit(sample, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
