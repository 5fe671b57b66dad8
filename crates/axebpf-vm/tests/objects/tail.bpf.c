/* Goes on in another program for each reason; the loader puts the programs in their places. */
#include "fixture.h"

struct event {
	__u64 common;
	__u32 reason;
	__u32 value;
};

struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} handlers SEC(".maps");

__u64 entered, unhandled, sum;

SEC("tp/vmm/dispatch")
int dispatch(struct event *ctx)
{
	entered++;
	tail_call(ctx, &handlers, ctx->reason);
	unhandled++;
	return 1;
}

SEC("?tp/vmm/dispatch")
int add_value(struct event *ctx)
{
	sum += ctx->value;
	return 2;
}

SEC("?tp/vmm/dispatch")
int again(struct event *ctx)
{
	sum++;
	tail_call(ctx, &handlers, 1);
	return 3;
}

char LICENSE[] SEC("license") = "GPL";
