/* The types that core.bpf.c is adapted to: the same names, another build. */
#include "fixture.h"

struct place {
	__u64 before;
	__u32 x;
	__u32 y;
};

enum state {
	STARTING,
	STOPPED,
	RUNNING = 9,
};

struct vcpu {
	__u64 new_at_the_start;
	struct place places[5];
	struct {
		union {
			struct {
				__u32 half;
				__u32 upper;
			};
			__u64 whole;
		};
		__u32 id;
	};
	__s32 is_signed;
	__u64 grows;
	__u16 in_between;
	__u16 flag : 5;
	__u16 level : 7;
	__u16 rest : 4;
};

struct other_members {
	__u32 a;
};

struct vcpu the_vcpu;
enum state the_state;
struct other_members the_other_members;
