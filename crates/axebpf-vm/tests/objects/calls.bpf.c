/* Calls: to static functions in `.text`, to global ones, to ones in the same section, nested. */
#include "fixture.h"

static __noinline __u64 twice(__u64 value)
{
	volatile __u64 kept = value;
	return kept + value;
}

__noinline __u64 four_times(__u64 value)
{
	return twice(twice(value)) + 1;
}

static __noinline int fill(__u8 *bytes, int len)
{
	for (int at = 0; at < len; at++)
		bytes[at] = (__u8)(at * 3);
	return bytes[len - 1];
}

SEC("hprobe/run_vcpu+0x8")
__u64 nested(__u64 *regs)
{
	return four_times(regs[0]);
}

SEC("hprobe/run_vcpu")
__u64 pointers(__u64 *regs)
{
	__u8 buffer[32];
	return fill(buffer, 32) + (__u64)buffer[1];
}

static __noinline SEC("kretprobe/do_fork") __u64 helper_in_section(__u64 value)
{
	volatile __u64 kept = value;
	return kept ^ 0xff;
}

SEC("kretprobe/do_fork")
__u64 same_section(__u64 *regs)
{
	return helper_in_section(regs[1]);
}

char LICENSE[] SEC("license") = "GPL";
