// Executes single instructions on a processor, or on qemu-aarch64, for the tests of the simulator.
//
// Reads states from standard input, executes the instruction of each on its registers, and writes the states after that
// to standard output. It runs entirely in a signal handler: returning from the handler loads all registers and goes to
// the instruction, and whatever is executed next traps, which enters the handler again with all registers. What is
// executed next traps because code pages are filled with BRK and nothing else is executable, so that a branch may go
// anywhere.
//
// No C library: there is none for the target where the tests run.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

// Keep in step with `State` in ../src/state.rs.
struct state {
    u64 regs[31];
    u64 sp;
    u64 pc;
    u64 pstate;
    u64 vectors[64];
    u64 fpsr;
    u64 fpcr;
    // In: what the window is filled from. Out: a digest of the window.
    u64 memory;
    // Out: the address of a fault.
    u64 fault;
    // In: the instruction. Out: the signal that came.
    u64 word;
};

// Keep these in step with ../src/state.rs too.
#define PAGE 0x1000UL
#define CODE 0x1000000000UL
#define GUARDED_CODE 0x1000010000UL
#define OTHER_CODE 0x3012345000UL
#define WINDOW 0x1000004000UL
#define WINDOW_WORDS (PAGE / 8)

#define BRK 0xd4200000U

enum { READ = 63, WRITE = 64, EXIT = 93, SETITIMER = 103, SIGALTSTACK = 132, SIGACTION = 134, MMAP = 222 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11 };
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_BTI = 0x10 };
enum { MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };
enum { SA_SIGINFO = 4, SA_ONSTACK = 0x08000000 };

// Linux's `struct sigcontext` and what is around it (arch/arm64/include/uapi/asm).
struct fpsimd_context {
    u32 magic, size, fpsr, fpcr;
    u64 vectors[64];
};

struct context {
    u64 flags, link, stack_sp, stack_flags, stack_size;
    // The rest is aligned to 16 bytes.
    u64 mask[16], padding;
    u64 fault_address;
    u64 regs[31];
    u64 sp, pc, pstate;
    u8 reserved[4096] __attribute__((aligned(16)));
};

struct signal_info {
    int signal, error, code, pad;
    u64 address;
};

struct signal_action {
    void (*handler)(int, struct signal_info *, struct context *);
    u64 flags;
    void (*restorer)(void);
    u64 mask;
};

struct signal_stack {
    void *sp;
    u64 flags, size;
};

static u64 call(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
    register u64 x8 __asm__("x8") = number;
    register u64 x0 __asm__("x0") = a;
    register u64 x1 __asm__("x1") = b;
    register u64 x2 __asm__("x2") = c;
    register u64 x3 __asm__("x3") = d;
    register u64 x4 __asm__("x4") = e;
    register u64 x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

static void fail(u64 code) {
    for (;;)
        call(EXIT, code, 0, 0, 0, 0, 0);
}

// The compiler calls these.
void *memcpy(void *to, const void *from, u64 length) {
    for (u64 i = 0; i < length; i++)
        ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

#define BATCH 128
static struct state batch[BATCH];
static u64 next, filled;
static int running;
static u8 stack[0x10000] __attribute__((aligned(16)));

static void write_batch(void) {
    for (u64 done = 0, length = next * sizeof(struct state); done < length;) {
        u64 n = call(WRITE, 1, (u64)batch + done, length - done, 0, 0, 0);
        if ((long)n <= 0)
            fail(2);
        done += n;
    }
}

// Reads states until there are some and the last one is whole. Its signal ends the program if they take minutes, because
// an instruction that the tests take for harmless branches to itself.
static void read_batch(void) {
    const u64 minutes[4] = {0, 0, 120, 0};
    call(SETITIMER, 0, (u64)minutes, 0, 0, 0, 0);
    u64 length = 0;
    do {
        u64 n = call(READ, 0, (u64)batch + length, sizeof batch - length, 0, 0, 0);
        if ((long)n < 0)
            fail(3);
        if (n == 0)
            fail(length == 0 ? 0 : 4);
        length += n;
    } while (length % sizeof(struct state) != 0);
    next = 0;
    filled = length / sizeof(struct state);
}

static void put(u64 pc, u32 word) {
    *(volatile u32 *)pc = word;
    __asm__ volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb" ::"r"(pc) : "memory");
}

static void fill_window(u64 seed) {
    u64 *window = (u64 *)WINDOW;
    for (u64 i = 0; i < WINDOW_WORDS; i++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        window[i] = seed ^ seed >> 29;
    }
}

static u64 digest_window(void) {
    const u64 *window = (const u64 *)WINDOW;
    u64 digest = 0;
    for (u64 i = 0; i < WINDOW_WORDS; i++)
        digest = (digest ^ window[i]) * 0x9e3779b97f4a7c15UL;
    return digest;
}

static void copy(u64 *to, const u64 *from, u64 count) {
    for (u64 i = 0; i < count; i++)
        to[i] = from[i];
}

static struct fpsimd_context *vectors_of(struct context *context) {
    struct fpsimd_context *fpsimd = (struct fpsimd_context *)context->reserved;
    if (fpsimd->magic != 0x46508001)
        fail(5);
    return fpsimd;
}

static void save(struct state *state, struct context *context, int signal, u64 address) {
    struct fpsimd_context *fpsimd = vectors_of(context);
    put(state->pc, BRK);
    copy(state->regs, context->regs, 34);
    copy(state->vectors, fpsimd->vectors, 64);
    state->fpsr = fpsimd->fpsr;
    state->fpcr = fpsimd->fpcr;
    state->memory = digest_window();
    state->fault = address;
    state->word = signal;
}

static void load(const struct state *state, struct context *context) {
    struct fpsimd_context *fpsimd = vectors_of(context);
    fill_window(state->memory);
    put(state->pc, state->word);
    copy(context->regs, state->regs, 34);
    copy(fpsimd->vectors, state->vectors, 64);
    fpsimd->fpsr = state->fpsr;
    fpsimd->fpcr = state->fpcr;
}

static void handle(int signal, struct signal_info *info, struct context *context) {
    if (running)
        save(&batch[next++], context, signal, info->address);
    running = 1;
    if (next == filled) {
        write_batch();
        read_batch();
    }
    load(&batch[next], context);
}

static void map(u64 address, u64 protection) {
    u64 flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
    if (call(MMAP, address, PAGE, protection, flags, -1, 0) != address)
        fail(6);
}

static void map_code(u64 address, u64 extra) {
    map(address, PROT_READ | PROT_WRITE | PROT_EXEC | extra);
    for (u64 at = address; at < address + PAGE; at += 4)
        *(u32 *)at = BRK;
}

void _start(void) {
    map_code(CODE, 0);
    map_code(OTHER_CODE, 0);
    map_code(GUARDED_CODE, PROT_BTI);
    map(WINDOW, PROT_READ | PROT_WRITE);
    struct signal_stack alternate = {stack, 0, sizeof stack};
    if (call(SIGALTSTACK, (u64)&alternate, 0, 0, 0, 0, 0) != 0)
        fail(7);
    struct signal_action action = {handle, SA_SIGINFO | SA_ONSTACK, 0, 0};
    const int signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV};
    for (u64 i = 0; i < 5; i++)
        if (call(SIGACTION, signals[i], (u64)&action, 0, 8, 0, 0) != 0)
            fail(8);
    __asm__ volatile("brk #0");
    fail(9);
}
