/* Leaves what is a guest's: its call chain, the address of the probed function, its name, and who calls it. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, 4);
	__uint(value_size, 8 * 8);
} chains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} next SEC(".maps");

/* Where the task is, its number, and the start of its name. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} caller SEC(".maps");

static void keep(__u32 at, __u64 value)
{
	bpf_map_update_elem(&caller, &at, &value, BPF_ANY);
}

SEC("kprobe")
int leaves(struct user_pt_regs *regs)
{
	__u64 place = PT_REGS_IP(regs), once = 1;
	char name[16] __attribute__((aligned(8))) = "";

	bpf_get_stackid(regs, &chains, 0);
	bpf_map_update_elem(&places, &place, &once, BPF_ANY);
	bpf_printk("at %ps", place);
	bpf_get_current_comm(name, sizeof(name));
	keep(0, bpf_get_current_task());
	keep(1, bpf_get_current_pid_tgid());
	keep(2, *(__u64 *)name);
	return 0;
}

SEC("kprobe")
int goes_on(void *regs)
{
	bpf_tail_call(regs, &next, 0);
	return 0;
}
