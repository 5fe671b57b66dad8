/*
 * Looks at the task that runs in a Linux guest by the types of its kernel: what a CO-RE read finds has to be what the
 * helpers say, and its parent is who started it.
 */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct task_struct {
	int tgid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

/* How often numbers agree and do not, and the parent that was seen last. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} tasks SEC(".maps");

static __u64 *slot(__u32 at)
{
	return bpf_map_lookup_elem(&tasks, &at);
}

SEC("kprobe/__arm64_sys_execve")
int guest_task(void *regs)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int tgid = BPF_CORE_READ(task, tgid);
	__u64 *agreed = slot(tgid == (int)(bpf_get_current_pid_tgid() >> 32) ? 0 : 1);
	__u64 *parent = slot(2);

	if (!agreed || !parent)
		return 0;
	__sync_fetch_and_add(agreed, 1);
	*parent = BPF_CORE_READ(task, real_parent, tgid);
	return 0;
}
