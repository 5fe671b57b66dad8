/* Visits the entries of maps, also of one in the other. */
#include "fixture.h"

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32[3]);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct sums {
	__u64 keys;
	__u64 values;
	__u64 limit;
};

static long add(void *map, __u32 *key, __u64 *value, struct sums *sums)
{
	sums->keys += key[0] + key[1] + key[2];
	sums->values += *value;
	*value = 0;
	return sums->limit && !--sums->limit;
}

__u64 keys, values;

SEC("tp/test/all")
int all(void *ctx)
{
	struct sums sums = {};
	long visited = for_each_map_elem(&table, add, &sums, 0);

	keys = sums.keys;
	values = sums.values;
	return visited;
}

SEC("tp/test/first_two")
int first_two(void *ctx)
{
	struct sums sums = { .limit = 2 };

	return for_each_map_elem(&table, add, &sums, 0);
}

static long inner(void *map, __u32 *key, __u64 *value, __u64 *product)
{
	*product += *key * *value;
	return 0;
}

static long outer(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	__u64 product = 0;
	__u32 before = *key;

	for_each_map_elem(&array, inner, &product, 0);
	*sum += product * *key;
	return before != *key;
}

SEC("tp/test/nested")
int nested(void *ctx)
{
	__u64 sum = 0;

	for_each_map_elem(&array, outer, &sum, 0);
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
