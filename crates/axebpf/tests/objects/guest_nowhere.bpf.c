/* Programs whose sections name what no guest has. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

SEC("kprobe/vm1:work_3+2")
int between_instructions(void *regs)
{
	return 0;
}

SEC("kprobe/vm1:0xffff800008000042")
int misaligned(void *regs)
{
	return 0;
}

SEC("kretprobe/vm1:work_3+4")
int behind_the_entry(void *regs)
{
	return 0;
}

SEC("kprobe/vm1:")
int no_name(void *regs)
{
	return 0;
}
