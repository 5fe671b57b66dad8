/* Asks for the configuration of a kernel, which there is none of. */
#include "fixture.h"

extern int CONFIG_HZ __attribute__((section(".kconfig")));

SEC("tp/test/kconfig")
int kconfig(void *ctx)
{
	return CONFIG_HZ;
}

char LICENSE[] SEC("license") = "GPL";
