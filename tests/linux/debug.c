/* A debugger and what it debugs. */
#include "kernel.h"
#include "debug.h"
#include "workload.h"

#define PTRACE_TRACEME 0
#define PTRACE_CONT 7
#define PTRACE_SINGLESTEP 9
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205

/* Sets of registers: include/uapi/linux/elf.h. */
#define GENERAL 1
#define BREAKPOINTS 0x402
#define WATCHPOINTS 0x403

#define SIGTRAP 5
#define SIGSTOP 19

/* How often the loop of the debugged process runs. */
#define ROUNDS 400

struct registers {
	u64 x[31], sp, pc, pstate;
};

/* `struct user_hwdebug_state` of arm64. */
struct points {
	u32 info, padding;
	struct {
		u64 address;
		u32 control, padding;
	} point[16];
};

struct buffer {
	void *base;
	u64 len;
};

extern const u32 loop_start[], loop_end[], stop_here[], called[], done_here[];
static volatile u64 watched;

/*
 * What is debugged: a loop of two instructions, a breakpoint instruction, a call of a function, and a store. The labels are where
 * the debugger expects it.
 */
__asm__(".pushsection .text\n"
	".global debugged\n"
	"debugged:\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	mov x9, x0\n"
	"	mov x10, x1\n"
	"loop_start:\n"
	"	subs x9, x9, #1\n"
	"	b.ne loop_start\n"
	"loop_end:\n"
	"	nop\n"
	"stop_here:\n"
	"	brk #0x77\n"
	"	bl called\n"
	"	mov x11, #1\n"
	"	str x11, [x10]\n"
	"done_here:\n"
	"	ldp x29, x30, [sp], #16\n"
	"	ret\n"
	"called:\n"
	"	ret\n"
	".popsection\n");

extern void debugged(u64 rounds, volatile u64 *store_to);

static s64 trace(u64 request, s64 pid, u64 address, u64 data)
{
	return call(SYS_ptrace, request, (u64)pid, address, data, 0);
}

/* Waits until `pid` stops and returns the signal, or -1 when it has ended. */
static int wait_for_stop(s64 pid)
{
	u32 status = 0;

	if (call(SYS_wait4, (u64)pid, (u64)&status, 0, 0, 0) != pid || (status & 0xff) != 0x7f)
		return -1;
	return status >> 8 & 0xff;
}

static u64 program_counter(s64 pid)
{
	struct registers registers = { { 0 }, 0, 0, 0 };
	struct buffer buffer = { &registers, sizeof(registers) };

	trace(PTRACE_GETREGSET, pid, GENERAL, (u64)&buffer);
	return registers.pc;
}

static void set_program_counter(s64 pid, u64 pc)
{
	struct registers registers;
	struct buffer buffer = { &registers, sizeof(registers) };

	trace(PTRACE_GETREGSET, pid, GENERAL, (u64)&buffer);
	registers.pc = pc;
	trace(PTRACE_SETREGSET, pid, GENERAL, (u64)&buffer);
}

/* Sets the first point of a set, or clears it if `control` is 0. */
static int set_point(s64 pid, u64 set, u64 address, u32 control)
{
	struct points points;
	struct buffer buffer = { &points, 8 + sizeof(points.point[0]) };

	memset(&points, 0, sizeof(points));
	points.point[0].address = address;
	points.point[0].control = control;
	return trace(PTRACE_SETREGSET, pid, set, (u64)&buffer) != 0;
}

static void result(const char *name, u64 count, int failed)
{
	print("debugger: ");
	print(name);
	print(" ");
	print_number(count);
	print(failed ? " WRONG\n" : " ok\n");
}

/* Lets the process run, and tells whether it stopped for a trap at `expected`. */
static int stops_at(s64 pid, u64 expected)
{
	trace(PTRACE_CONT, pid, 0, 0);
	return wait_for_stop(pid) == SIGTRAP && program_counter(pid) == expected;
}

static int step_through(s64 pid)
{
	u64 steps = 0, in_loop = 0;
	int failed = 0;

	while (program_counter(pid) != (u64)stop_here && steps < 100000) {
		u64 pc = program_counter(pid);

		in_loop += pc >= (u64)loop_start && pc < (u64)loop_end;
		trace(PTRACE_SINGLESTEP, pid, 0, 0);
		failed |= wait_for_stop(pid) != SIGTRAP;
		steps++;
	}
	failed |= in_loop != 2 * ROUNDS;
	result("steps", in_loop, failed);
	return failed;
}

int run_debugger(void)
{
	/* Enabled for EL0: four bytes to execute; eight bytes to store. */
	const u32 execute = 0xful << 5 | 2 << 1 | 1, store = 0xfful << 5 | 2 << 3 | 2 << 1 | 1;
	s64 pid = fork_process();

	if (pid == 0) {
		trace(PTRACE_TRACEME, 0, 0, 0);
		call(SYS_kill, (u64)call(SYS_getpid, 0, 0, 0, 0, 0), SIGSTOP, 0, 0, 0);
		debugged(ROUNDS, &watched);
		leave(watched == 1 ? 42 : 1);
	}
	int wrong = wait_for_stop(pid) != SIGSTOP;

	wrong += step_through(pid);
	int failed = !stops_at(pid, (u64)stop_here);

	set_program_counter(pid, (u64)stop_here + 4);
	result("breakpoint instruction", 1, failed);
	wrong += failed;
	failed = set_point(pid, BREAKPOINTS, (u64)called, execute) || !stops_at(pid, (u64)called) ||
		 set_point(pid, BREAKPOINTS, 0, 0);
	result("hardware breakpoint", 1, failed);
	wrong += failed;
	/* A watchpoint stops before the store. */
	failed = set_point(pid, WATCHPOINTS, (u64)&watched, store) || !stops_at(pid, (u64)done_here - 4) ||
		 set_point(pid, WATCHPOINTS, 0, 0);
	result("watchpoint", 1, failed);
	wrong += failed;
	trace(PTRACE_CONT, pid, 0, 0);
	failed = wait_for(pid) != 42;
	result("exit code", 42, failed);
	return wrong + failed;
}
