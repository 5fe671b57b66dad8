/* Questions about types, which the loader answers from the target's: see core_target.c. */
#include "fixture.h"

#define PRESERVE __attribute__((preserve_access_index))
#define field_info(field, kind) __builtin_preserve_field_info(field, kind)
#define type_info(type, kind) __builtin_preserve_type_info(*(typeof(type) *)0, kind)
#define enum_value(type, value, kind) __builtin_preserve_enum_value(*(typeof(type) *)value, kind)

struct place {
	__u32 x;
	__u32 y;
} PRESERVE;

enum state {
	STOPPED,
	RUNNING,
	GONE,
};

struct vcpu {
	__u32 id;
	__u64 missing;
	struct place places[4];
	__u32 grows;
	__s32 is_signed;
	unsigned int flag : 3;
	unsigned int level : 7;
	union {
		__u64 whole;
		__u32 half;
	};
} PRESERVE;

struct vcpu___old {
	__u32 old_id;
} PRESERVE;

struct nowhere {
	int a;
} PRESERVE;

struct other_members {
	__u32 a;
	__u64 b;
};

/* Answers go to the words of the context, which starts with a struct vcpu of the target. */
struct answers {
	__u64 words[40];
};

#define ask(n, answer) (out->words[n] = (answer))

SEC("tracepoint/test/fields")
int fields(struct answers *out)
{
	struct vcpu *vcpu = (void *)out;

	ask(20, vcpu->id);
	ask(21, vcpu->places[2].y);
	ask(22, vcpu->grows);
	ask(23, vcpu->half);
	ask(24, field_info(vcpu->id, 2));
	ask(25, field_info(vcpu->missing, 2));
	ask(26, field_info(((struct vcpu___old *)vcpu)->old_id, 2));
	ask(27, field_info(vcpu->places, 1));
	ask(28, field_info(vcpu->is_signed, 3));
	ask(29, field_info(vcpu->id, 3));
	ask(30, field_info(vcpu->id, 0));
	ask(31, field_info(((struct nowhere *)vcpu)->a, 2));
	return 0;
}

SEC("tracepoint/test/bits")
int bits(struct answers *out)
{
	struct vcpu *vcpu = (void *)out;
	__u64 value = 0;

	switch (field_info(vcpu->level, 1)) {
	case 1: value = *((__u8 *)vcpu + field_info(vcpu->level, 0)); break;
	case 2: value = *(__u16 *)((char *)vcpu + field_info(vcpu->level, 0)); break;
	case 4: value = *(__u32 *)((char *)vcpu + field_info(vcpu->level, 0)); break;
	case 8: value = *(__u64 *)((char *)vcpu + field_info(vcpu->level, 0)); break;
	}
	value <<= field_info(vcpu->level, 4);
	value >>= field_info(vcpu->level, 5);
	ask(20, value);
	return 0;
}

SEC("tracepoint/test/types")
int types(struct answers *out)
{
	ask(20, type_info(struct vcpu, 0));
	ask(21, type_info(struct nowhere, 0));
	ask(22, type_info(struct vcpu, 1));
	ask(23, type_info(struct place, 2));
	ask(24, type_info(struct other_members, 2));
	ask(25, __builtin_btf_type_id(*(struct place *)0, 1));
	ask(26, enum_value(enum state, RUNNING, 0));
	ask(27, enum_value(enum state, GONE, 0));
	ask(28, enum_value(enum state, RUNNING, 1));
	return 0;
}

SEC("tracepoint/test/guarded")
int guarded(struct answers *out)
{
	struct vcpu *vcpu = (void *)out;

	ask(20, field_info(vcpu->missing, 2) ? vcpu->missing : 7);
	return 0;
}

SEC("tracepoint/test/sometimes")
int sometimes(struct answers *out)
{
	struct vcpu *vcpu = (void *)out;

	if (*(volatile __u8 *)out)
		ask(20, vcpu->missing);
	return 0;
}

SEC("?tracepoint/test/unguarded")
int unguarded(struct answers *out)
{
	struct vcpu *vcpu = (void *)out;

	ask(20, vcpu->missing);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
