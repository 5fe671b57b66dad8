//! The helpers that Linux gives to tracing programs and that are not here, with the reason.

/// A helper that Linux gives to tracing programs and that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedHelper {
    /// Linux's number.
    pub id: u16,
    /// The name that `bpf_helpers.h` gives the helper, without `bpf_`.
    pub name: &'static str,
    /// Why it is not here.
    pub reason: &'static str,
}

const CGROUPS: &str = "there are no control groups at a hypervisor";
const USERS: &str =
    "there are no user processes at a hypervisor; the guest's memory is not the hypervisor's";
const TASKS: &str =
    "there are no tasks at a hypervisor; get_current_vm_id and get_current_vcpu_id tell what runs";
const COUNTERS: &str = "the hypervisor has no perf events to read";
const OVERRIDE: &str = "a probe changes nothing of what it interrupts";
const LOCKS: &str = "a CPU that waits for a lock in a probe stops the machine; use atomic operations, or per-CPU maps";
const TIMERS: &str = "nothing runs a program outside of a hit";
const TYPES: &str = "there is no BTF of the running hypervisor";
const POINTERS: &str = "a map holds no pointers that are counted";
const DYNPTRS: &str =
    "dynamic pointers need the verification of types; use ringbuf_reserve or ringbuf_output";
const ITERATORS: &str = "there are no iterator programs";
const FILES: &str = "there are no files, sockets or packets at a hypervisor";
const SYSCALLS: &str = "programs load no programs and look no symbols up";
const NUMA: &str = "the machine is one node to the hypervisor";
const CLOCKS: &str = "the hypervisor has no calendar clock";
const NUMBERS: &str = "turning text into numbers is left to the reader";

impl RefusedHelper {
    /// All of them, by number.
    pub const ALL: &'static [Self] = REFUSED;
}

const fn refused(id: u16, name: &'static str, reason: &'static str) -> RefusedHelper {
    RefusedHelper { id, name, reason }
}

pub(super) const REFUSED: &[RefusedHelper] = &[
    refused(15, "get_current_uid_gid", USERS),
    refused(22, "perf_event_read", COUNTERS),
    refused(36, "probe_write_user", USERS),
    refused(37, "current_task_under_cgroup", CGROUPS),
    refused(42, "get_numa_node_id", NUMA),
    refused(46, "get_socket_cookie", FILES),
    refused(55, "perf_event_read_value", COUNTERS),
    refused(56, "perf_prog_read_value", COUNTERS),
    refused(58, "override_return", OVERRIDE),
    refused(80, "get_current_cgroup_id", CGROUPS),
    refused(93, "spin_lock", LOCKS),
    refused(94, "spin_unlock", LOCKS),
    refused(105, "strtol", NUMBERS),
    refused(106, "strtoul", NUMBERS),
    refused(107, "sk_storage_get", FILES),
    refused(108, "sk_storage_delete", FILES),
    refused(109, "send_signal", TASKS),
    refused(111, "skb_output", FILES),
    refused(117, "send_signal_thread", TASKS),
    refused(119, "read_branch_records", COUNTERS),
    refused(120, "get_ns_current_pid_tgid", TASKS),
    refused(121, "xdp_output", FILES),
    refused(123, "get_current_ancestor_cgroup_id", CGROUPS),
    refused(126, "seq_printf", ITERATORS),
    refused(127, "seq_write", ITERATORS),
    refused(136, "skc_to_tcp6_sock", FILES),
    refused(137, "skc_to_tcp_sock", FILES),
    refused(138, "skc_to_tcp_timewait_sock", FILES),
    refused(139, "skc_to_tcp_request_sock", FILES),
    refused(140, "skc_to_udp6_sock", FILES),
    refused(141, "get_task_stack", TASKS),
    refused(147, "d_path", FILES),
    refused(148, "copy_from_user", USERS),
    refused(149, "snprintf_btf", TYPES),
    refused(150, "seq_printf_btf", TYPES),
    refused(153, "per_cpu_ptr", TYPES),
    refused(154, "this_cpu_ptr", TYPES),
    refused(156, "task_storage_get", TASKS),
    refused(157, "task_storage_delete", TASKS),
    refused(158, "get_current_task_btf", TASKS),
    refused(160, "ktime_get_coarse_ns", CLOCKS),
    refused(161, "ima_inode_hash", FILES),
    refused(166, "sys_bpf", SYSCALLS),
    refused(167, "btf_find_by_name_kind", SYSCALLS),
    refused(168, "sys_close", SYSCALLS),
    refused(169, "timer_init", TIMERS),
    refused(170, "timer_set_callback", TIMERS),
    refused(171, "timer_start", TIMERS),
    refused(172, "timer_cancel", TIMERS),
    refused(175, "task_pt_regs", TASKS),
    refused(176, "get_branch_snapshot", COUNTERS),
    refused(178, "skc_to_unix_sock", FILES),
    refused(179, "kallsyms_lookup_name", SYSCALLS),
    refused(180, "find_vma", TASKS),
    refused(183, "get_func_arg", TYPES),
    refused(184, "get_func_ret", TYPES),
    refused(185, "get_func_arg_cnt", TYPES),
    refused(191, "copy_from_user_task", USERS),
    refused(193, "ima_file_hash", FILES),
    refused(194, "kptr_xchg", POINTERS),
    refused(197, "dynptr_from_mem", DYNPTRS),
    refused(198, "ringbuf_reserve_dynptr", DYNPTRS),
    refused(199, "ringbuf_submit_dynptr", DYNPTRS),
    refused(200, "ringbuf_discard_dynptr", DYNPTRS),
    refused(201, "dynptr_read", DYNPTRS),
    refused(202, "dynptr_write", DYNPTRS),
    refused(203, "dynptr_data", DYNPTRS),
    refused(208, "ktime_get_tai_ns", CLOCKS),
    refused(209, "user_ringbuf_drain", DYNPTRS),
    refused(210, "cgrp_storage_get", CGROUPS),
    refused(211, "cgrp_storage_delete", CGROUPS),
];
