/* An array of programs that starts with programs, and an array of maps that starts with maps, both with gaps. */
#include "fixture.h"

struct event {
	__u64 common;
	__u32 reason;
	__u32 value;
};

int add_value(struct event *ctx);
int again(struct event *ctx);

struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, int(void *));
} handlers SEC(".maps") = {
	.values = {
		[1] = (void *)&add_value,
		[3] = (void *)&again,
	},
};

struct inner {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sum SEC(".maps");

struct {
	__uint(type, MAP_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__array(values, struct inner);
} sums SEC(".maps") = {
	.values = {
		[2] = &sum,
	},
};

static void add(__u64 value)
{
	__u32 slot = 2, zero = 0;
	void *inner = map_lookup_elem(&sums, &slot);
	__u64 *total = inner ? map_lookup_elem(inner, &zero) : 0;

	if (total)
		*total += value;
}

SEC("tp/vmm/dispatch")
int dispatch(struct event *ctx)
{
	tail_call(ctx, &handlers, ctx->reason);
	return 1;
}

SEC("tp/vmm/dispatch")
int add_value(struct event *ctx)
{
	add(ctx->value);
	return 2;
}

SEC("tp/vmm/dispatch")
int again(struct event *ctx)
{
	add(1000);
	tail_call(ctx, &handlers, 1);
	return 3;
}

char LICENSE[] SEC("license") = "GPL";
