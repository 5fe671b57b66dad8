/* The system calls of Linux on arm64 that the guest's programs make, without a C library. */
#ifndef AXEBPF_LINUX_KERNEL_H
#define AXEBPF_LINUX_KERNEL_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

/* Numbers from Linux's include/uapi/asm-generic/unistd.h. */
enum call {
	SYS_mkdirat = 34,
	SYS_unlinkat = 35,
	SYS_mount = 40,
	SYS_openat = 56,
	SYS_close = 57,
	SYS_pipe2 = 59,
	SYS_read = 63,
	SYS_write = 64,
	SYS_pread64 = 67,
	SYS_exit_group = 94,
	SYS_ptrace = 117,
	SYS_kill = 129,
	SYS_rt_sigaction = 134,
	SYS_reboot = 142,
	SYS_setsid = 157,
	SYS_getpid = 172,
	SYS_munmap = 215,
	SYS_clone = 220,
	SYS_execve = 221,
	SYS_mmap = 222,
	SYS_perf_event_open = 241,
	SYS_wait4 = 260,
	SYS_renameat2 = 276,
};

static inline s64 call(enum call number, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	register u64 x8 __asm__("x8") = number;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	register u64 x5 __asm__("x5") = 0;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return (s64)x0;
}

/* What the compiler may call for. */
void *memset(void *to, int value, u64 len);
void *memcpy(void *to, const void *from, u64 len);

#define AT_FDCWD ((u64)-100)
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define SIGCHLD 17

static inline s64 open_file(const char *path, int flags)
{
	return call(SYS_openat, AT_FDCWD, (u64)path, (u64)flags, 0644, 0);
}

static inline s64 read_some(int fd, void *to, u64 len)
{
	return call(SYS_read, (u64)fd, (u64)to, len, 0, 0);
}

static inline s64 write_some(int fd, const void *from, u64 len)
{
	return call(SYS_write, (u64)fd, (u64)from, len, 0, 0);
}

static inline void close_file(int fd)
{
	call(SYS_close, (u64)fd, 0, 0, 0, 0);
}

static inline _Noreturn void leave(int code)
{
	for (;;)
		call(SYS_exit_group, (u64)code, 0, 0, 0, 0);
}

static inline s64 fork_process(void)
{
	return call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Waits for `pid` and returns its exit code, or -1 when it did not end by itself. */
static inline int wait_for(s64 pid)
{
	u32 status = 0;

	if (call(SYS_wait4, (u64)pid, (u64)&status, 0, 0, 0) != pid || (status & 0x7f))
		return -1;
	return status >> 8 & 0xff;
}

#endif
