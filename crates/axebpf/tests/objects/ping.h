/* The record of the events that the tests fire: Linux's common header, then the fields. */
#ifndef PING_H
#define PING_H

#include "axebpf.h"
#include <bpf/bpf_helpers.h>

struct ping {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
	__u64 value;
	__u32 cpu;
};

char LICENSE[] SEC("license") = "Dual GPL/Apache";

#endif
