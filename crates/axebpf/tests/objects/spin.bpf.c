/* Never ends by itself. */
#include "ping.h"

SEC("tracepoint/facade/ping")
int spin(struct ping *ctx)
{
	volatile __u64 turns = ctx->value;

	while (turns + 1)
		turns += 2;
	return 0;
}
