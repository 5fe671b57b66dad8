/*
 * The first process of the guest: runs the workload and says what it came to.
 *
 * The kernel's command line says how often (`rounds=N`, 1 by default) and what comes then (`then=off`, which is the default,
 * `then=shell` or `then=repeat`): the kernel hands words that it does not know itself to this program, as its environment.
 */
#include "breakpoint.h"
#include "debug.h"
#include "kernel.h"
#include "text.h"
#include "workload.h"

#define MS_NOTHING 0
#define RB_MAGIC1 0xfee1deadul
#define RB_MAGIC2 672274793ul
#define RB_POWER_OFF 0x4321fedcul

static u64 length(const char *text)
{
	u64 len = 0;

	while (text[len])
		len++;
	return len;
}

/* Writes `text` at once, so that what several processes print does not mix within. */
void print(const char *text)
{
	static char line[256];
	static u64 used;

	for (; *text; text++) {
		line[used++] = *text;
		if (*text == '\n' || used == sizeof(line)) {
			write_some(1, line, used);
			used = 0;
		}
	}
}

void print_number(u64 value)
{
	char digits[21];
	char *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	print(at);
}

void print_hex(u64 value)
{
	char digits[19] = "0x";

	for (int i = 0; i < 16; i++)
		digits[2 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
	digits[18] = 0;
	print(digits);
}

void *memset(void *to, int value, u64 len)
{
	for (volatile u8 *at = to; len--; at++)
		*at = (u8)value;
	return to;
}

void *memcpy(void *to, const void *from, u64 len)
{
	volatile u8 *at = to;

	for (const u8 *source = from; len--; at++, source++)
		*at = *source;
	return to;
}

/* Returns what stands behind `name` in the environment, or `otherwise`. */
static const char *setting(char **environment, const char *name, const char *otherwise)
{
	u64 len = length(name);

	for (; *environment; environment++) {
		u64 same = 0;

		while (same < len && (*environment)[same] == name[same])
			same++;
		if (same == len && (*environment)[len] == '=')
			return *environment + len + 1;
	}
	return otherwise;
}

static u64 number(const char *text)
{
	u64 value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (u64)(*text - '0');
	return value;
}

static void mount_on(const char *kind, const char *where)
{
	call(SYS_mkdirat, AT_FDCWD, (u64)where, 0755, 0, 0);
	call(SYS_mount, (u64)kind, (u64)where, (u64)kind, MS_NOTHING, 0);
}

static void set_up(void)
{
	mount_on("proc", "/proc");
	mount_on("sysfs", "/sys");
	mount_on("devtmpfs", "/dev");
	mount_on("tracefs", "/sys/kernel/tracing");
	call(SYS_mkdirat, AT_FDCWD, (u64)"/tmp", 01777, 0, 0);
}

static _Noreturn void power_off(void)
{
	for (;;)
		call(SYS_reboot, RB_MAGIC1, RB_MAGIC2, RB_POWER_OFF, 0, 0);
}

/* Runs a shell, over and over, on a session of its own. */
static _Noreturn void shell(void)
{
	char *arguments[] = { "sh", 0 };
	char *environment[] = { "PATH=/bin", "HOME=/", "TERM=dumb", 0 };

	for (;;) {
		s64 pid = fork_process();

		if (pid == 0) {
			call(SYS_setsid, 0, 0, 0, 0, 0);
			call(SYS_execve, (u64)"/bin/sh", (u64)arguments, (u64)environment, 0, 0);
			print("init: there is no shell\n");
			leave(127);
		}
		if (wait_for(pid) == 127)
			power_off();
	}
}

_Noreturn void start(u64 *stack)
{
	u64 count = stack[0];
	char **arguments = (char **)&stack[1];
	char **environment = arguments + count + 1;

	/*
	 * `/init child N` is for the workload; `/init work`, `/init debug`, `/init text ADDRESS` and `/init break ADDRESS` are
	 * for whoever is at the shell.
	 */
	if (count == 3 && arguments[1][0] == 'c')
		leave(run_child(number(arguments[2])));
	if (count == 2 && arguments[1][0] == 'w')
		leave(run_workload());
	if (count == 2 && arguments[1][0] == 'd')
		leave(run_debugger());
	if (count == 3 && arguments[1][0] == 't')
		leave(show_text(arguments[2]));
	if (count == 3 && arguments[1][0] == 'b')
		leave(run_breakpoint(arguments[2]));
	const char *then = setting(environment, "then", "off");
	u64 rounds = number(setting(environment, "rounds", "1"));
	int failed = 0;

	set_up();
	print("init: user space\n");
	for (u64 round = 0; round < rounds || then[0] == 'r'; round++) {
		s64 pid = fork_process();

		if (pid == 0)
			leave(run_workload());
		int code = wait_for(pid);

		print("init: round ");
		print_number(round + 1);
		print(code < 0 ? " died\n" : code ? " ended with exit code 1\n" : " ended with exit code 0\n");
		failed |= code != 0;
	}
	print(failed ? "init: workload FAILED\n" : "init: workload passed\n");
	if (then[0] == 's')
		shell();
	power_off();
}

__asm__(".global _start\n"
	"_start:\n"
	"	mov x0, sp\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	b start\n");
