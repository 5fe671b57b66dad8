/* A program that needs to know the types of a guest's kernel. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} types SEC(".maps");

static void put(__u32 at, __u64 value)
{
	__u64 *slot = bpf_map_lookup_elem(&types, &at);

	if (slot)
		*slot = value;
}

SEC("kprobe/vm1:work_1")
int look(void *regs)
{
	put(0, bpf_core_field_offset(struct task_struct, tgid));
	put(1, bpf_core_type_size(struct task_struct));
	return 0;
}
