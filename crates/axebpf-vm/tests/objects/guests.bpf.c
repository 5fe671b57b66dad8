/* Reads the memory of guests, at probes of several kinds. */
#include "fixture.h"

static __u64 both(void)
{
	__u64 word = 0;

	read_guest_kernel(&word, sizeof(word), (void *)0xffff800008000000);
	read_guest_user(&word, sizeof(word), (void *)0x400000);
	return word;
}

SEC("kprobe/vm1:vfs_read")
int at_kernel(void *ctx)
{
	return both();
}

/* It can be attached to a guest, too. */
SEC("hprobe/function")
int at_hypervisor(void *ctx)
{
	return both();
}

SEC("tp/all/guests")
int kernel_at_event(void *ctx)
{
	__u64 word = 0;

	return read_guest_kernel(&word, sizeof(word), (void *)0xffff800008000000);
}

SEC("tp/all/guests")
int user_at_event(void *ctx)
{
	__u64 word = 0;

	return read_guest_user(&word, sizeof(word), (void *)0x400000);
}

char LICENSE[] SEC("license") = "GPL";
