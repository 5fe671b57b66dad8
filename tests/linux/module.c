/*
 * A module for the guest's kernel: it counts what it does itself, and complains when it is asked to.
 *
 * `/proc/axebpf` takes `run N`, which calls each of the functions below N times, `nest N`, which has one call itself that deep,
 * `warn` and `bug`; it tells how often each function was called by `run`. There are no headers of the kernel: what has to be known of it is in `module_facts.h`, which
 * `cargo xtask linux` writes from one of the modules that come with the kernel.
 */
#include "module_facts.h"

typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

/* What the module takes from the kernel. */
extern void *proc_create(const char *name, unsigned short mode, void *parent, const void *operations);
extern void proc_remove(void *entry);
extern s64 simple_read_from_buffer(void *to, u64 count, s64 *at, const void *from, u64 available);
extern s64 simple_write_to_buffer(void *to, u64 available, s64 *at, const void *from, u64 count);

/*
 * The functions that are counted, on a page of their own, so that each call comes from elsewhere. They differ in their first
 * instruction, of which there are those that EL2 can simulate and those that only the guest can execute. Each returns its
 * argument plus its number.
 */
#define COUNTED(number, name, first, rest) \
	"	.global counted_" name "\n" \
	"	.type counted_" name ", %function\n" \
	"counted_" name ":\n" \
	"	" first "\n" \
	"	" rest "\n" \
	"	add x0, x0, #" number "\n" \
	"	ret\n" \
	"	.size counted_" name ", . - counted_" name "\n"

__asm__("	.pushsection .text\n"
	"	.balign 4096\n"
	COUNTED("1", "nothing", "nop", "nop")
	COUNTED("2", "push", "stp x29, x30, [sp, #-16]!", "ldp x29, x30, [sp], #16")
	COUNTED("3", "branch", "cbz xzr, . + 8", "brk #1")
	COUNTED("4", "literal", "ldr x9, . + 8", "nop")
	COUNTED("5", "move", "mov x9, x30", "nop")
	COUNTED("6", "task", "mrs x9, sp_el0", "nop")
	COUNTED("7", "flags", "mrs x9, nzcv", "msr nzcv, x9")
	COUNTED("8", "barrier", "dsb ish", "isb")
	COUNTED("9", "mask", "msr daifset, #2", "msr daifclr, #2")
	COUNTED("10", "translate", "at s1e1r, x0", "mrs x9, par_el1")
	COUNTED("11", "sign", "paciasp", "autiasp")
	COUNTED("12", "checksum", "crc32x w9, w0, x0", "nop")
	"	.balign 4096\n"
	"	.popsection\n");

/* Calls itself as often as its argument says, and returns how often that was. */
__asm__("	.pushsection .text\n"
	"	.global counted_nest\n"
	"	.type counted_nest, %function\n"
	"counted_nest:\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	mov x29, sp\n"
	"	cbz x0, 1f\n"
	"	sub x0, x0, #1\n"
	"	bl counted_nest\n"
	"	add x0, x0, #1\n"
	"1:	ldp x29, x30, [sp], #16\n"
	"	ret\n"
	"	.size counted_nest, . - counted_nest\n"
	"	.popsection\n");
extern u64 counted_nest(u64 depth);

#define FUNCTIONS(X) \
	X(nothing) X(push) X(branch) X(literal) X(move) X(task) X(flags) X(barrier) X(mask) X(translate) X(sign) X(checksum)
#define DECLARE(name) extern u64 counted_##name(u64 value);
FUNCTIONS(DECLARE)

#define ENTRY(name) { #name, counted_##name, 0 },
static struct {
	const char *name;
	u64 (*function)(u64 value);
	u64 calls;
} table[] = { FUNCTIONS(ENTRY) };

#define COUNT (sizeof(table) / sizeof(table[0]))

/* How often a function returned something else than it should. */
static u64 wrong;

static void run(u64 rounds)
{
	for (; rounds; rounds--) {
		for (u64 i = 0; i < COUNT; i++) {
			if (table[i].function(rounds) != rounds + i + 1)
				__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&table[i].calls, 1, __ATOMIC_RELAXED);
		}
	}
}

/*
 * What Linux's WARN and BUG are made of: a breakpoint instruction with an immediate of its own, and an entry in a table that says
 * what it means (include/asm-generic/bug.h). The flags are those of a warning, which taints the kernel, or none.
 */
#define COMPLAIN(flags) \
	__asm__ volatile("	.pushsection __bug_table, \"aw\"\n" \
			 "	.balign 4\n" \
			 "9:	.long 1f - 9b\n" \
			 "	.long file_name - (9b + 4)\n" \
			 "	.short %c0, %c1\n" \
			 "	.popsection\n" \
			 "1:	brk #0x800\n" \
			 : : "i"(__LINE__), "i"(flags))

__attribute__((used)) static const char file_name[] __asm__("file_name") = "module.c";

__attribute__((noinline)) static void warn_on_request(void)
{
	COMPLAIN(1 | 9 << 8);
}

__attribute__((noinline)) static void bug_on_request(void)
{
	COMPLAIN(0);
}

static u64 number(const char *text)
{
	u64 value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (u64)(*text - '0');
	return value;
}

static s64 on_write(void *file, const void *from, u64 count, s64 *at)
{
	char text[32] = { 0 };
	s64 start = 0;
	s64 len = simple_write_to_buffer(text, sizeof(text) - 1, &start, from, count);

	(void)file, (void)at;
	if (len < 0)
		return len;
	if (text[0] == 'r')
		run(number(text + 4));
	else if (text[0] == 'n' && counted_nest(number(text + 5)) != number(text + 5))
		__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
	else if (text[0] == 'w')
		warn_on_request();
	else if (text[0] == 'b')
		bug_on_request();
	return (s64)count;
}

/* Appends a line to the `used` characters of `text`. */
static u64 append(char *text, u64 used, const char *name, u64 value)
{
	char digits[20];
	u64 count = 0;

	while (*name)
		text[used++] = *name++;
	text[used++] = ' ';
	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (count)
		text[used++] = digits[--count];
	text[used++] = '\n';
	return used;
}

static s64 on_read(void *file, void *to, u64 count, s64 *at)
{
	char text[(COUNT + 1) * 32];
	u64 used = append(text, 0, "wrong", wrong);

	(void)file;
	for (u64 i = 0; i < COUNT; i++)
		used = append(text, used, table[i].name, table[i].calls);
	return simple_read_from_buffer(to, count, at, text, used);
}

/* `struct proc_ops` of Linux's include/linux/proc_fs.h, as far as it is used. */
static const struct {
	u64 flags;
	void *open;
	s64 (*read)(void *file, void *to, u64 count, s64 *at);
	void *read_iter;
	s64 (*write)(void *file, const void *from, u64 count, s64 *at);
	void *others[10];
} operations = { .read = on_read, .write = on_write };

static void *entry;

int init_module(void)
{
	entry = proc_create("axebpf", 0644, 0, &operations);
	return entry ? 0 : -12;
}

void cleanup_module(void)
{
	proc_remove(entry);
}

/* What the kernel wants to know of a module: its name, where it begins and ends, and for which kernel it was made. */
#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)
__asm__("	.pushsection .gnu.linkonce.this_module, \"aw\"\n"
	"	.balign 64\n"
	"3:	.zero " TEXT(MODULE_NAME) "\n"
	"	.asciz \"axebpf_guest\"\n"
	"	.org 3b + " TEXT(MODULE_INIT) "\n"
	"	.quad init_module\n"
	"	.org 3b + " TEXT(MODULE_EXIT) "\n"
	"	.quad cleanup_module\n"
	"	.org 3b + " TEXT(MODULE_SIZE) "\n"
	"	.popsection\n"
	"	.pushsection .modinfo, \"a\"\n"
	"	.asciz \"license=GPL\"\n"
	"	.asciz \"name=axebpf_guest\"\n"
	"	.asciz \"vermagic=" VERMAGIC "\"\n"
	"	.popsection\n"
	"	.pushsection .plt, \"ax\"\n"
	"	.byte 0\n"
	"	.popsection\n"
	"	.pushsection .init.plt, \"a\"\n"
	"	.byte 0\n"
	"	.popsection\n"
	"	.pushsection .text.ftrace_trampoline, \"ax\"\n"
	"	.byte 0\n"
	"	.popsection\n");

#define VERSION(sum, name) { sum, name },
__attribute__((used, section("__versions"))) static const struct {
	u64 sum;
	char name[56];
} versions[] = { VERSIONS(VERSION) };
