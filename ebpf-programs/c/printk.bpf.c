/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/* Prints a line for each hypercall of a guest. */
#include "axebpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual GPL/Apache";

SEC("tracepoint/vmm/hypercall")
int printk(struct vmm_hypercall *event)
{
	bpf_printk("vm %u vcpu %u hypercall %llx", event->vm_id, event->vcpu_id, event->function);
	return 0;
}
