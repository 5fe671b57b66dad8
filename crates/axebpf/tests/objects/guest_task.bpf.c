/*
 * Looks at the task that runs in a Linux guest by the types of its kernel: what a CO-RE read finds has to be what the
 * helpers say, and its parent is who started it. Reads what the task wants to execute, too: the path is in its own memory, and
 * the registers that name it are in the kernel's.
 */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

struct task_struct {
	int tgid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

/*
 * How often numbers agree and do not, the parent that was seen last, how often both halves were read, and how often one was
 * read as the other.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} tasks SEC(".maps");

static __u64 *slot(__u32 at)
{
	return bpf_map_lookup_elem(&tasks, &at);
}

static void count(__u32 at)
{
	__u64 *number = slot(at);

	if (number)
		__sync_fetch_and_add(number, 1);
}

/* Reads each half by its helper and by the other one's. */
static void read_halves(struct user_pt_regs *call)
{
	__u64 path = 0, regs = 0;
	char start[2] = "";

	if (!bpf_read_guest_kernel(&path, sizeof(path), &call->regs[0]) &&
	    !bpf_read_guest_user(start, sizeof(start), (void *)path) && start[0] == '/')
		count(3);
	if (!bpf_read_guest_user(&regs, sizeof(regs), &call->regs[0]) || regs ||
	    !bpf_read_guest_kernel(start, sizeof(start), (void *)path) || start[0] ||
	    !bpf_probe_read_user(&regs, sizeof(regs), &call->regs[0]) ||
	    !bpf_probe_read_kernel(start, sizeof(start), (void *)path))
		count(4);
}

SEC("kprobe/__arm64_sys_execve")
int guest_task(struct user_pt_regs *regs)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int tgid = BPF_CORE_READ(task, tgid);
	__u64 *agreed = slot(tgid == (int)(bpf_get_current_pid_tgid() >> 32) ? 0 : 1);
	__u64 *parent = slot(2);

	read_halves((void *)PT_REGS_PARM1(regs));
	if (!agreed || !parent)
		return 0;
	__sync_fetch_and_add(agreed, 1);
	*parent = BPF_CORE_READ(task, real_parent, tgid);
	return 0;
}
