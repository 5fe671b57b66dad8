/* Programs whose sections name a missing event, nothing at all, and a function. */
#include "ping.h"

SEC("tracepoint/facade/no_such_event")
int missing(struct ping *ctx)
{
	return 0;
}

SEC("nowhere")
int adrift(void *ctx)
{
	return 0;
}

SEC("hprobe/handle_exit+0x10")
int function(void *ctx)
{
	return 0;
}
