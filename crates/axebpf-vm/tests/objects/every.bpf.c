/* Calls every helper once or more, for the test that none allocates. */
#include "fixture.h"

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

struct {
	__uint(type, MAP_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct {
	__uint(type, MAP_STACK_TRACE);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 64);
} chains SEC(".maps");

struct {
	__uint(type, MAP_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, MAP_BLOOM_FILTER);
	__uint(max_entries, 16);
	__type(value, __u64);
} bloom SEC(".maps");

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("tp/all/maps")
int maps(void *ctx)
{
	__u32 key = 1, zero = 0;
	__u64 value = 7;
	void *record;

	map_update_elem(&hash, &key, &value, 0);
	map_lookup_elem(&hash, &key);
	map_delete_elem(&hash, &key);
	map_lookup_percpu_elem(&per_cpu, &zero, 0);
	map_push_elem(&queue, &value, 0);
	map_peek_elem(&queue, &value);
	map_pop_elem(&queue, &value);
	map_push_elem(&bloom, &value, 0);
	map_peek_elem(&bloom, &value);
	perf_event_output(ctx, &events, 0xffffffffULL, &value, sizeof(value));
	get_stackid(ctx, &chains, 0);
	ringbuf_output(&ring, &value, sizeof(value), 0);
	record = ringbuf_reserve(&ring, 16, 0);
	if (record)
		ringbuf_submit(record, 0);
	record = ringbuf_reserve(&ring, 16, 0);
	if (record)
		ringbuf_discard(record, 0);
	return ringbuf_query(&ring, 0);
}

SEC("hprobe/facts")
int facts(void *ctx)
{
	__u64 all = ktime_get_ns() + ktime_get_boot_ns() + jiffies64() + get_prandom_u32();

	all += get_smp_processor_id() + get_current_pid_tgid();
	all += get_current_vm_id() + get_current_vcpu_id() + get_exit_reason() + get_call_time_ns();
	return all + get_func_ip(ctx) + get_attach_cookie(ctx);
}

SEC("tp/all/texts")
int texts(char *ctx)
{
	char text[64];
	__u64 chain[8];
	__u64 values[3] = { 1, (__u64)ctx, (__u64)ctx };

	probe_read(text, 8, ctx);
	probe_read_kernel(text, 8, ctx);
	probe_read_str(text, 8, ctx);
	probe_read_kernel_str(text, 8, ctx);
	get_current_comm(text, sizeof(text));
	snprintf(text, sizeof(text), "%d %s %pI4", values, sizeof(values));
	trace_printk("%d", 3, 1);
	trace_vprintk("%d %s %pI6", 11, values, sizeof(values));
	get_stack(ctx, chain, sizeof(chain), 0);
	return strncmp(text, 4, "text");
}

static long step(__u32 index, void *ctx)
{
	return 0;
}

static long visit(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *key + *value;
	return 0;
}

SEC("tp/all/flow")
int flow(void *ctx)
{
	__u64 sum = 0;

	for_each_map_elem(&per_cpu, visit, &sum, 0);
	loop(4, step, 0, 0);
	tail_call(ctx, &programs, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
