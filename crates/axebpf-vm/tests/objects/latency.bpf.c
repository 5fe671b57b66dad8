/* A histogram of the time from one event to another: one map for the beginnings, one for the slots. */
#include "fixture.h"

#define SLOTS 27

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 128);
	__type(key, __u64);
	__type(value, __u64);
} begins SEC(".maps");

struct histogram {
	__u64 slots[SLOTS];
	__u64 total_ns;
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, struct histogram);
} histograms SEC(".maps");

static const struct histogram empty;
__u64 unmatched;
const volatile __u64 shortest_ns = 0;

SEC("tracepoint/vmm/vcpu_run_enter")
int begin(void *ctx)
{
	__u64 who = get_current_pid_tgid(), now = ktime_get_ns();

	return map_update_elem(&begins, &who, &now, 0);
}

static __noinline __u64 log2(__u64 value)
{
	__u64 slot = 0;

	for (int step = 5; step >= 0; step--) {
		__u64 width = 1ULL << step;

		if (value >> width) {
			value >>= width;
			slot += width;
		}
	}
	return slot;
}

SEC("tracepoint/vmm/vcpu_run_exit")
int end(void *ctx)
{
	__u64 who = get_current_pid_tgid(), now = ktime_get_ns(), took, slot;
	__u32 vm = who >> 32;
	__u64 *begin = map_lookup_elem(&begins, &who);
	struct histogram *histogram;

	if (!begin) {
		unmatched++;
		return 1;
	}
	took = now - *begin;
	map_delete_elem(&begins, &who);
	if (took < shortest_ns)
		return 1;
	histogram = map_lookup_elem(&histograms, &vm);
	if (!histogram) {
		map_update_elem(&histograms, &vm, &empty, 1);
		histogram = map_lookup_elem(&histograms, &vm);
		if (!histogram)
			return 1;
	}
	slot = log2(took);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&histogram->slots[slot], 1);
	__sync_fetch_and_add(&histogram->total_ns, took);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
