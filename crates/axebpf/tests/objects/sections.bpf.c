/* Programs whose sections name a missing event, no target at all, and a function. */
#include "ping.h"

SEC("tracepoint/facade/no_such_event")
int missing(struct ping *ctx)
{
	return 0;
}

SEC("tracepoint")
int adrift(void *ctx)
{
	return 0;
}

SEC("hprobe/handle_exit+0x10")
int function(void *ctx)
{
	return 0;
}
