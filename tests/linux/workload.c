/* The workload: processes, pipes, files, signals, faults, and a checksum over a large buffer on all CPUs. */
#include "kernel.h"
#include "workload.h"

#define FNV_BASIS 0xcbf29ce484222325ul
#define FNV_PRIME 0x100000001b3ul

/* The next step of a linear congruential generator. */
static u64 step(u64 state)
{
	return state * 6364136223846793005ul + 1442695040888963407ul;
}

static u64 mix(u64 hash, u64 value)
{
	return (hash ^ value) * FNV_PRIME;
}

static u64 hash_bytes(u64 hash, const u8 *bytes, u64 len)
{
	for (u64 i = 0; i < len; i++)
		hash = mix(hash, bytes[i]);
	return hash;
}

static void report(const char *name, u64 count, u64 hash, int failed)
{
	print("workload: ");
	print(name);
	print(" ");
	print_number(count);
	print(" ");
	print_hex(hash);
	print(failed ? " WRONG\n" : " ok\n");
}

int run_child(u64 number)
{
	return (int)(step(step(number)) >> 40 & 0x7f);
}

/* Starts one process after the other, some of which execute the program anew; each ends with a code of its own. */
static int processes(void)
{
	const u64 count = 120;
	u64 hash = FNV_BASIS;
	int failed = 0;

	for (u64 number = 0; number < count; number++) {
		s64 pid = fork_process();

		if (pid == 0) {
			char digits[] = { (char)('0' + number / 10 % 10), (char)('0' + number % 10), 0 };
			char *arguments[] = { "/init", "child", digits, 0 };
			char *environment[] = { 0 };

			if (number < 100 && number % 4 == 0)
				call(SYS_execve, (u64)"/init", (u64)arguments, (u64)environment, 0, 0);
			leave(number % 4 ? run_child(number) : number < 100 ? 127 : run_child(number));
		}
		int code = wait_for(pid);

		failed |= code != run_child(number);
		hash = mix(hash, (u64)code);
	}
	report("processes", count, hash, failed);
	return failed;
}

static int read_all(int fd, void *to, u64 len)
{
	for (u64 done = 0; done < len;) {
		s64 count = read_some(fd, (u8 *)to + done, len - done);

		if (count <= 0)
			return -1;
		done += (u64)count;
	}
	return 0;
}

static int write_all(int fd, const void *from, u64 len)
{
	for (u64 done = 0; done < len;) {
		s64 count = write_some(fd, (const u8 *)from + done, len - done);

		if (count <= 0)
			return -1;
		done += (u64)count;
	}
	return 0;
}

/* Sends bytes through a pipe to a process that sends their checksum back through another one. */
static int pipes(void)
{
	const u64 total = 1 << 20;
	static u8 buffer[5000];
	int there[2], back[2];
	u64 hash = FNV_BASIS, answer = 0, state = 1, done = 0;
	int failed = 0;

	if (call(SYS_pipe2, (u64)there, 0, 0, 0, 0) || call(SYS_pipe2, (u64)back, 0, 0, 0, 0))
		return 1;
	s64 pid = fork_process();

	if (pid == 0) {
		s64 count;

		close_file(there[1]);
		while ((count = read_some(there[0], buffer, sizeof(buffer))) > 0)
			hash = hash_bytes(hash, buffer, (u64)count);
		leave(write_all(back[1], &hash, sizeof(hash)) ? 1 : 0);
	}
	close_file(there[0]);
	while (done < total) {
		state = step(state);
		u64 len = 1 + (state >> 33) % sizeof(buffer);

		if (len > total - done)
			len = total - done;
		for (u64 i = 0; i < len; i++) {
			state = step(state);
			buffer[i] = (u8)(state >> 56);
		}
		hash = hash_bytes(hash, buffer, len);
		failed |= write_all(there[1], buffer, len);
		done += len;
	}
	close_file(there[1]);
	failed |= read_all(back[0], &answer, sizeof(answer)) || answer != hash;
	close_file(back[0]);
	close_file(back[1]);
	failed |= wait_for(pid) != 0;
	report("pipes", total, hash, failed);
	return failed;
}

/* Writes files, renames them, reads them back, and removes them. */
static int files(void)
{
	static u8 buffer[16384];
	const u64 count = 24;
	u64 hash = FNV_BASIS;
	int failed = 0;

	for (u64 number = 0; number < count; number++) {
		char name[] = { '/', 't', 'm', 'p', '/', 'f', (char)('a' + number), 0 };
		char other[] = { '/', 't', 'm', 'p', '/', 'g', (char)('a' + number), 0 };
		u64 state = number, wrote = FNV_BASIS, found = FNV_BASIS;
		int fd = (int)open_file(name, O_RDWR | O_CREAT | O_TRUNC);

		for (int part = 0; part < 4; part++) {
			for (u64 i = 0; i < sizeof(buffer); i++)
				buffer[i] = (u8)((state = step(state)) >> 56);
			wrote = hash_bytes(wrote, buffer, sizeof(buffer));
			failed |= write_all(fd, buffer, sizeof(buffer));
		}
		close_file(fd);
		failed |= call(SYS_renameat2, AT_FDCWD, (u64)name, AT_FDCWD, (u64)other, 0) != 0;
		fd = (int)open_file(other, O_RDWR);
		for (int part = 0; part < 4; part++) {
			failed |= read_all(fd, buffer, sizeof(buffer));
			found = hash_bytes(found, buffer, sizeof(buffer));
		}
		close_file(fd);
		failed |= found != wrote;
		failed |= call(SYS_unlinkat, AT_FDCWD, (u64)other, 0, 0, 0) != 0;
		hash = mix(hash, found);
	}
	report("files", count, hash, failed);
	return failed;
}

#define SIGUSR1 10
#define SIGSEGV 11
#define SA_SIGINFO 4

/* As the kernel takes it: include/uapi/asm-generic/signal.h. */
struct action {
	void (*handler)(int, void *, void *);
	u64 flags;
	void *restorer;
	u64 mask;
};

/* `struct ucontext` of arm64, whose last part is aligned to 16 bytes. */
struct context {
	u64 flags, link, stack[3], mask[16], padding, fault_address, x[31], sp, pc, pstate;
};

static volatile u64 signals_seen;
static volatile u64 faults_seen;

static void on_signal(int signal, void *info, void *context)
{
	(void)signal, (void)info, (void)context;
	signals_seen++;
}

/* Goes on behind the instruction that faulted. */
static void on_fault(int signal, void *info, void *context)
{
	(void)signal, (void)info;
	faults_seen++;
	((struct context *)context)->pc += 4;
}

/* Sends itself signals, and accesses an address at which there is nothing. */
static int signals(void)
{
	const u64 count = 2000, faults = 500;
	struct action user = { on_signal, SA_SIGINFO, 0, 0 };
	struct action fault = { on_fault, SA_SIGINFO, 0, 0 };
	u64 self = (u64)call(SYS_getpid, 0, 0, 0, 0, 0);

	signals_seen = 0;
	faults_seen = 0;
	call(SYS_rt_sigaction, SIGUSR1, (u64)&user, 0, 8, 0);
	call(SYS_rt_sigaction, SIGSEGV, (u64)&fault, 0, 8, 0);
	for (u64 i = 0; i < count; i++)
		call(SYS_kill, self, SIGUSR1, 0, 0, 0);
	for (u64 i = 0; i < faults; i++) {
		u64 value;

		__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(8ul) : "memory");
	}
	int failed = signals_seen != count || faults_seen != faults;

	report("signals", signals_seen + faults_seen, mix(mix(FNV_BASIS, signals_seen), faults_seen), failed);
	return failed;
}

/* Fills 16 MiB and returns a checksum over them. */
static u64 checksum(u64 seed)
{
	const u64 len = 16ul << 20;
	/* Readable and writable; private and anonymous. */
	s64 at = call(SYS_mmap, 0, len, 3, 0x22, (u64)-1);
	u64 *words = (u64 *)at;
	u64 hash = FNV_BASIS;

	if (at < 0)
		return 0;
	for (u64 i = 0; i < len / 8; i++)
		words[i] = seed = step(seed);
	for (u64 i = 0; i < len / 8; i++)
		hash = mix(hash, words[i]);
	call(SYS_munmap, (u64)at, len, 0, 0, 0);
	return hash;
}

/* Has four processes at once compute a checksum each, so that all CPUs are busy. */
static int checksums(void)
{
	const u64 workers = 4;
	int fds[4][2];
	s64 pids[4];
	u64 hash = FNV_BASIS;
	int failed = 0;

	for (u64 i = 0; i < workers; i++) {
		failed |= call(SYS_pipe2, (u64)fds[i], 0, 0, 0, 0) != 0;
		pids[i] = fork_process();
		if (pids[i] == 0) {
			u64 mine = checksum(i);

			leave(mine && !write_all(fds[i][1], &mine, sizeof(mine)) ? 0 : 1);
		}
		close_file(fds[i][1]);
	}
	for (u64 i = 0; i < workers; i++) {
		u64 theirs = 0;

		failed |= read_all(fds[i][0], &theirs, sizeof(theirs));
		close_file(fds[i][0]);
		failed |= wait_for(pids[i]) != 0;
		hash = mix(hash, theirs);
	}
	report("checksums", workers, hash, failed);
	return failed;
}

int run_workload(void)
{
	return processes() + pipes() + files() + signals() + checksums();
}
