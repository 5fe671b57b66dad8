/* The few definitions that the fixtures share, so that building them needs no header of any package. */
#ifndef FIXTURE_H
#define FIXTURE_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __noinline __attribute__((noinline))

enum {
	MAP_HASH = 1,
	MAP_ARRAY = 2,
	MAP_PROG_ARRAY = 3,
	MAP_PERF_EVENT_ARRAY = 4,
	MAP_PERCPU_HASH = 5,
	MAP_PERCPU_ARRAY = 6,
	MAP_STACK_TRACE = 7,
	MAP_LRU_HASH = 9,
	MAP_ARRAY_OF_MAPS = 12,
	MAP_QUEUE = 22,
	MAP_BLOOM_FILTER = 30,
	MAP_RINGBUF = 27,
};
enum { PIN_BY_NAME = 1 };

static void *(*const map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*const ktime_get_ns)(void) = (void *)5;
static long (*const trace_printk)(const char *fmt, __u32 size, ...) = (void *)6;
static long (*const probe_read)(void *dst, __u32 size, const void *src) = (void *)4;
static __u32 (*const get_prandom_u32)(void) = (void *)7;
static __u32 (*const get_smp_processor_id)(void) = (void *)8;
static long (*const tail_call)(void *ctx, void *programs, __u32 index) = (void *)12;
static __u64 (*const get_current_pid_tgid)(void) = (void *)14;
static long (*const get_current_comm)(void *to, __u32 size) = (void *)16;
static long (*const perf_event_output)(void *ctx, void *map, __u64 flags, void *data, __u64 size) = (void *)25;
static long (*const get_stackid)(void *ctx, void *map, __u64 flags) = (void *)27;
static long (*const probe_read_str)(void *dst, __u32 size, const void *src) = (void *)45;
static long (*const get_stack)(void *ctx, void *to, __u32 size, __u64 flags) = (void *)67;
static long (*const map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*const map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const map_peek_elem)(void *map, void *value) = (void *)89;
static __u64 (*const get_current_vm_id)(void) = (void *)100;
static __u64 (*const get_current_vcpu_id)(void) = (void *)101;
static __u64 (*const get_exit_reason)(void) = (void *)102;
static long (*const probe_read_kernel)(void *dst, __u32 size, const void *src) = (void *)113;
static long (*const probe_read_kernel_str)(void *dst, __u32 size, const void *src) = (void *)115;
static __u64 (*const jiffies64)(void) = (void *)118;
static __u64 (*const ktime_get_boot_ns)(void) = (void *)125;
static long (*const ringbuf_output)(void *map, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*const ringbuf_reserve)(void *map, __u64 size, __u64 flags) = (void *)131;
static void (*const ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*const ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*const ringbuf_query)(void *map, __u64 what) = (void *)134;
static long (*const for_each_map_elem)(void *map, void *function, void *ctx, __u64 flags) = (void *)164;
static long (*const snprintf)(char *to, __u32 size, const char *format, __u64 *data, __u32 len) = (void *)165;
static __u64 (*const get_func_ip)(void *ctx) = (void *)173;
static __u64 (*const get_attach_cookie)(void *ctx) = (void *)174;
static long (*const trace_vprintk)(const char *format, __u32 size, const void *data, __u32 len) = (void *)177;
static long (*const loop)(__u32 count, void *function, void *ctx, __u64 flags) = (void *)181;
static long (*const strncmp)(const char *first, __u32 size, const char *second) = (void *)182;
static void *(*const map_lookup_percpu_elem)(void *map, const void *key, __u32 cpu) = (void *)195;
static __u64 (*const get_call_time_ns)(void) = (void *)0x1000;
static long (*const read_guest_kernel)(void *to, __u32 size, const void *from) = (void *)0x1001;
static long (*const read_guest_user)(void *to, __u32 size, const void *from) = (void *)0x1002;

/* The registers of aarch64, as a probe on code gets them. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

#define PT_REGS_PARM1(ctx) ((ctx)->regs[0])
#define PT_REGS_PARM2(ctx) ((ctx)->regs[1])
#define PT_REGS_RC(ctx) ((ctx)->regs[0])
#define PT_REGS_IP(ctx) ((ctx)->pc)

#endif
