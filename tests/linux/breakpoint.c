/* Breakpoints of the processor in the kernel's own text, which the kernel's performance events make. */
#include "breakpoint.h"
#include "kernel.h"
#include "text.h"
#include "workload.h"

/* `PERF_TYPE_BREAKPOINT` and `HW_BREAKPOINT_X` of Linux's include/uapi/linux. */
#define BREAKPOINT 5
#define EXECUTE 4

#define SIGSTOP 19
#define MOST_CPUS 8
#define CALLS 300

/* `struct perf_event_attr` of include/uapi/linux/perf_event.h, in its second version, which has a length. */
struct event {
	u32 type, size;
	u64 config, period, sample_type, read_format, flags;
	u32 wakeup, breakpoint_type;
	u64 address, len;
};

/* Sets a breakpoint on CPU `cpu`, for whatever runs there, and returns a file that counts, or an error below 0. */
static s64 set_on(u64 cpu, u64 address)
{
	struct event event = { .type = BREAKPOINT, .size = sizeof(event) };

	event.breakpoint_type = EXECUTE;
	event.address = address;
	event.len = 4;
	return call(SYS_perf_event_open, (u64)&event, (u64)-1, cpu, (u64)-1, 0);
}

int run_breakpoint(const char *digits)
{
	const u64 address = hexadecimal(digits);
	const u64 self = (u64)call(SYS_getpid, 0, 0, 0, 0, 0);
	s64 files[MOST_CPUS];
	u64 cpus = 0, hits = 0;

	while (cpus < MOST_CPUS && (files[cpus] = set_on(cpus, address)) >= 0)
		cpus++;
	/* 0 asks only whether the process is there. */
	for (u64 i = 0; i < CALLS; i++)
		call(SYS_kill, self, 0, 0, 0, 0);
	for (u64 i = 0; i < cpus; i++) {
		u64 count = 0;

		read_some((int)files[i], &count, sizeof(count));
		hits += count;
	}
	/* An interrupt while the kernel steps the instruction makes it set the breakpoint too early, and it is hit again. */
	int failed = hits < CALLS || hits > 2 * CALLS;

	print("breakpoint: calls ");
	print_number(CALLS);
	print(!cpus ? " refused\n" : failed ? " WRONG\n" : " ok\n");
	call(SYS_kill, self, SIGSTOP, 0, 0, 0);
	return failed;
}
