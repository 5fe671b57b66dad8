/* A stream of events, with names: through a ring buffer of all CPUs, and through a buffer for each CPU. */
#include "fixture.h"

struct request {
	__u64 common;
	__u64 name;
	__u32 size;
	__u32 cpu;
};

struct event {
	__u64 time_ns;
	__u32 vm_id;
	__u32 size;
	char who[16];
	char name[32];
};

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 8192);
} events SEC(".maps");

struct {
	__uint(type, MAP_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} per_cpu SEC(".maps");

__u64 dropped;

static __noinline int fill(struct event *event, struct request *ctx)
{
	event->time_ns = ktime_get_boot_ns();
	event->vm_id = get_current_vm_id();
	event->size = ctx->size;
	get_current_comm(event->who, sizeof(event->who));
	return probe_read_kernel_str(event->name, sizeof(event->name), (void *)ctx->name);
}

SEC("tracepoint/virtio/request")
int to_ring(struct request *ctx)
{
	struct event *event = ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&dropped, 1);
		return 1;
	}
	if (fill(event, ctx) < 0 || strncmp(event->who, 2, "vm")) {
		ringbuf_discard(event, 0);
		return 1;
	}
	ringbuf_submit(event, 0);
	return 0;
}

SEC("tracepoint/virtio/request")
int to_cpu(struct request *ctx)
{
	struct event event = {};

	fill(&event, ctx);
	return perf_event_output(ctx, &per_cpu, 0xffffffffULL, &event, sizeof(event));
}

char LICENSE[] SEC("license") = "GPL";
