/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * What an axebpf program sees beside libbpf's headers: the types that those headers expect, the numbers of the map
 * types that axebpf has, the hypervisor helpers, and the contexts of the events.
 *
 * Include it before libbpf's:
 *
 *     #include "axebpf.h"
 *     #include <bpf/bpf_helpers.h>
 *     #include <bpf/bpf_tracing.h>
 *
 * It needs no libc header, of which there are none for the eBPF target. Compile with
 * `clang -target bpf -mcpu=v3 -O2 -g -D__TARGET_ARCH_arm64`.
 */
#ifndef AXEBPF_H
#define AXEBPF_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

/* libbpf's helper prototypes name these; eBPF is little-endian here, and axebpf has no use for the other order. */
typedef __u16 __le16;
typedef __u16 __be16;
typedef __u32 __le32;
typedef __u32 __be32;
typedef __u64 __le64;
typedef __u64 __be64;
typedef __u32 __wsum;

/* The map types that axebpf has, with Linux's numbers (enum bpf_map_type of include/uapi/linux/bpf.h). */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
};

/* The flags of bpf_map_update_elem(). */
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};

/* The flag of bpf_perf_event_output() for the executing CPU, whose buffer is the only one that a program can write. */
#define BPF_F_CURRENT_CPU 0xffffffffULL

/* The registers that a probe on a function sees: Linux's layout on arm64, which PT_REGS_PARM1(ctx) and others read. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

/*
 * The virtual machine that is loaded on this CPU, counted as the hypervisor does. AXEBPF_NONE when the hypervisor runs
 * for itself.
 */
static __u64 (*const bpf_get_current_vm_id)(void) = (void *)100;

/* The virtual CPU that is loaded on this CPU, within its virtual machine. AXEBPF_NONE when there is none. */
static __u64 (*const bpf_get_current_vcpu_id)(void) = (void *)101;

/*
 * Why the loaded virtual CPU last left its guest: on aarch64 the exception class ESR_EL2.EC (0 to 63), or
 * AXEBPF_EXIT_IRQ. AXEBPF_NONE when there is none, or it never ran.
 */
static __u64 (*const bpf_get_exit_reason)(void) = (void *)102;

/*
 * At the return of a function (SEC("hretprobe/...") and SEC("kretprobe/...")): the nanoseconds since it was entered.
 * AXEBPF_NONE in all other programs.
 */
static __u64 (*const bpf_get_call_time_ns)(void) = (void *)0x1000;

/*
 * At a probe on a guest's kernel (SEC("kprobe/...") and SEC("kretprobe/...")): copies `size` bytes of the kernel's
 * memory to `to`, from the virtual address `from` in the upper half. Returns 0. Anything else is -EFAULT (-14) and
 * leaves zeroes: an address in the lower half, one that the guest has not mapped, and a program that is attached
 * elsewhere. Programs at tracepoints cannot call it.
 */
static long (*const bpf_read_guest_kernel)(void *to, __u32 size, const void *from) = (void *)0x1001;

/* The same for the memory of the guest's running program, which is in the lower half. */
static long (*const bpf_read_guest_user)(void *to, __u32 size, const void *from) = (void *)0x1002;

/* What the helpers above return where there is no answer. */
#define AXEBPF_NONE ((__u64)-1)

/* The exit reason of an interrupt, next to the 64 exception classes. */
#define AXEBPF_EXIT_IRQ 64

#include "axebpf_events.h"

#endif /* AXEBPF_H */
