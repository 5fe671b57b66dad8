/* A ring buffer used in each way, and messages. */
#include "fixture.h"

struct record {
	__u64 time;
	__u32 cpu;
	__u32 vm_id;
};

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

SEC("tp/vmm/vm_boot")
int reserve(void *context)
{
	struct record *record = ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 1;
	record->time = ktime_get_ns();
	record->cpu = get_smp_processor_id();
	record->vm_id = (__u32)get_current_vm_id();
	ringbuf_submit(record, 0);
	return 0;
}

SEC("tp/vmm/vm_shutdown")
int output(void *context)
{
	struct record record = { 1, 2, 3 };
	return (int)ringbuf_output(&records, &record, sizeof(record), 0);
}

SEC("tp/vmm/vm_create")
int abandon(void *context)
{
	struct record *dropped = ringbuf_reserve(&records, sizeof(*dropped), 0);
	if (dropped)
		ringbuf_discard(dropped, 0);
	struct record *kept = ringbuf_reserve(&records, sizeof(*kept), 0);
	return kept ? 0 : 1;
}

SEC("tp/vmm/hypercall")
int message(__u64 *context)
{
	static const char format[] = "vm %d called %llx from %s";
	static const char who[] = "a guest";
	return (int)trace_printk(format, sizeof(format), (__u32)context[1], context[2], who);
}

char LICENSE[] SEC("license") = "GPL";
