/* Counts: how often functions of a guest and of the hypervisor are called and with what, and events by their reason. */
#include "fixture.h"

struct exit_event {
	__u64 common;
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 reason;
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} by_function_and_argument SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} by_reason SEC(".maps");

struct {
	__uint(type, MAP_LRU_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} last_result SEC(".maps");

static __noinline int count(void *map, const void *key)
{
	__u64 one = 1, *value = map_lookup_elem(map, key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		map_update_elem(map, key, &one, 1);
	return 0;
}

SEC("kprobe/do_sys_openat2")
int guest_entry(struct user_pt_regs *ctx)
{
	__u64 key = get_func_ip(ctx) ^ PT_REGS_PARM2(ctx);

	return count(&by_function_and_argument, &key);
}

SEC("kretprobe/do_sys_openat2")
int guest_return(struct user_pt_regs *ctx)
{
	__u64 who = get_current_pid_tgid();
	__u64 result = PT_REGS_RC(ctx);

	return map_update_elem(&last_result, &who, &result, 0);
}

SEC("hprobe/handle_exit+0x10")
int hypervisor_entry(struct user_pt_regs *ctx)
{
	__u64 key = PT_REGS_IP(ctx);

	return count(&by_function_and_argument, &key);
}

SEC("tp/vmm/vcpu_run_exit")
int event(struct exit_event *ctx)
{
	__u32 reason = ctx->reason & 63;

	return count(&by_reason, &reason);
}

char LICENSE[] SEC("license") = "GPL";
