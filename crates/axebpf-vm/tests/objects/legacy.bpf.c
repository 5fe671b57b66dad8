/* Maps in the form from before BTF. */
#include "fixture.h"

struct bpf_map_def {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
};

struct bpf_map_def SEC("maps") first = { MAP_ARRAY, 4, 8, 2, 0 };
struct bpf_map_def SEC("maps") second = { MAP_HASH, 8, 4, 16, 1 };

SEC("kprobe/do_sys_open")
int legacy(__u64 *regs)
{
	__u32 index = 1;
	__u64 key = regs[0];
	__u32 value = 5;
	__u64 *found = map_lookup_elem(&first, &index);
	if (found)
		*found += key;
	return map_update_elem(&second, &key, &value, 0);
}

char LICENSE[] SEC("license") = "GPL";
