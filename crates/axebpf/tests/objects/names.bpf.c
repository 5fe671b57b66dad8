/* Prints an address in the three ways that have names. */
#include "ping.h"

SEC("tracepoint/facade/ping")
int names(struct ping *ctx)
{
	bpf_printk("at %pS, after %pB, %ps", ctx->value, ctx->value, ctx->value);
	return 0;
}
