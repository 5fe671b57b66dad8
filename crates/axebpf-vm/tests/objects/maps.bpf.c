/* Maps in maps, with what they start with. */
#include "fixture.h"

struct inner {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
};

struct inner first SEC(".maps");
struct inner the_second_one_with_a_long_name SEC(".maps");

struct {
	__uint(type, MAP_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} by_vm SEC(".maps") = {
	.values = {
		[0] = &first,
		[2] = &the_second_one_with_a_long_name,
	},
};

struct event {
	__u64 common;
	__u32 vm_id;
	__u32 index;
};

SEC("tp/test/count")
int count(struct event *ctx)
{
	__u32 vm = ctx->vm_id, index = ctx->index;
	void *map = map_lookup_elem(&by_vm, &vm);
	__u64 *value;

	if (!map)
		return 1;
	value = map_lookup_elem(map, &index);
	if (!value)
		return 2;
	__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("tp/test/forged")
int forged(struct event *ctx)
{
	__u32 vm = ctx->vm_id, index = ctx->index;
	char *map = map_lookup_elem(&by_vm, &vm);

	return map && map_lookup_elem(map + 1, &index);
}

/* A function that no other file need replace, and one that none can. */
__attribute__((weak)) __noinline int weak_function(__u64 value)
{
	return value + 1;
}

SEC("tp/test/weak")
int calls_weak(struct event *ctx)
{
	return weak_function(ctx->index);
}

char LICENSE[] SEC("license") = "GPL";
