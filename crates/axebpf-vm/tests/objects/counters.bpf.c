/* Maps of each keyed kind, global data of each kind, two programs in one object. */
#include "fixture.h"

struct event {
	__u64 common;
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 reason;
};

struct key {
	__u32 vm_id;
	__u32 reason;
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 64);
	__type(key, struct key);
	__type(value, __u64);
} exits SEC(".maps");

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 16);
} per_cpu SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64[2]);
	__uint(pinning, PIN_BY_NAME);
} shared SEC(".maps");

const volatile __u64 step = 3;
__u64 total = 100;
__u64 seen;
static volatile __u32 last_reason;

SEC("tracepoint/vmm/vcpu_run_exit")
int count_exit(struct event *event)
{
	struct key key = { event->vm_id, event->reason };
	__u64 one = 1;
	__u64 *count = map_lookup_elem(&exits, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		map_update_elem(&exits, &key, &one, 0);

	__u32 slot = event->reason & 3;
	__u64 *mine = map_lookup_elem(&per_cpu, &slot);
	if (mine) {
		mine[0]++;
		mine[1] += event->reason;
	}
	seen++;
	total += step;
	last_reason = event->reason;
	return (int)total;
}

SEC("tp/vmm/vm_destroy")
int forget(struct event *event)
{
	struct key key = { event->vm_id, event->reason };
	__u32 first = 0;
	__u64 *value = map_lookup_elem(&shared, &first);
	if (value)
		value[1] = event->vm_id;
	return map_delete_elem(&exits, &key);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
