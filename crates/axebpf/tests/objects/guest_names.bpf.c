/* Leaves addresses of a guest: its call chain, the address of the probed function, and its name. */
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

SEC("kprobe")
int leaves(struct user_pt_regs *regs)
{
	__u64 place = PT_REGS_IP(regs), once = 1;

	bpf_get_stackid(regs, &chains, 0);
	bpf_map_update_elem(&places, &place, &once, BPF_ANY);
	bpf_printk("at %ps", place);
	return 0;
}

SEC("kprobe")
int goes_on(void *regs)
{
	bpf_tail_call(regs, &next, 0);
	return 0;
}
