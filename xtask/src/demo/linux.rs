//! The demonstration of probes on a guest's kernel: Debian's, as it is.

use super::{Demo, Scene, scene};

pub(super) const DEMO: Demo = Demo {
    title: "axebpf: eBPF programs at the functions of an unmodified Debian kernel, from EL2",
    scenes: &SCENES,
};

const SCENES: [Scene; 18] = [
    scene(
        "The guest has booted up to its shell. Nothing in it knows of axebpf.",
        "vm list",
        "1 * running 2 *",
    ),
    scene(
        "Its symbols and types are found in its memory: no file, no agent.",
        "vm syms 1",
        "vm 1: <n+> symbols, found in <n> ms; its tasks are known",
    )
    .proves("the guest's symbols and how it keeps its tasks, found in its memory"),
    scene(
        "Functions are found by name, and where they are.",
        "gsym 1 invoke_syscall",
        "<x> <n+> t invoke_syscall",
    ),
    scene(
        "A program in C counts system calls.",
        "prog load guest_syscalls",
        "object <n>, guest_syscalls: *",
    ),
    scene(
        "Its section names the function. The guest keeps running.",
        "link attach guest_syscalls",
        "link <n>: guest_syscalls at kprobe:invoke_syscall",
    ),
    scene(
        "Somebody works at the guest's shell.",
        "vm type 1 for i in 1 2 3; do ls / >/dev/null; cat /proc/uptime; done",
        "",
    ),
    scene(
        "System calls by number and task: 64 is write, 221 execve.",
        "map dump syscalls --key u32,text16",
        "64,* <n+>",
    )
    .after(4)
    .proves("guest_syscalls (C): system calls by number and by the guest's own names"),
    scene(
        "What executes comes as a stream.",
        "prog load guest_exec --attach",
        "<n> <n>:guest_exec guest_exec <n+> <n+> kprobe:__arm64_sys_execve",
    ),
    scene(
        "Two processes.",
        "vm type 1 /bin/uname -r; /bin/cat /proc/version",
        "",
    ),
    scene(
        "The records of its ring buffer: time, VM, process, who, and what.",
        "map dump execs --value u64,u32,u32,text16,text64",
        "*,1,<n+>,sh,/bin/uname",
    )
    .after(4)
    .proves("guest_exec (C): a stream of what the guest executes"),
    scene(
        "A program in Rust measures calls: one half at the entry, one at the return.",
        "prog load guest_func_latency",
        "object <n>, guest_func_latency: *",
    ),
    scene(
        "The return comes without touching the guest's stack.",
        "link attach guest_func_return kretprobe:vm1:vfs_read",
        "link <n>: guest_func_return at kretprobe:vm1:vfs_read",
    ),
    scene(
        "And the entry.",
        "link attach guest_func_entry kprobe:vm1:vfs_read",
        "link <n>: guest_func_entry at kprobe:vm1:vfs_read",
    ),
    scene(
        "The guest reads.",
        "vm type 1 dd if=/dev/zero of=/dev/null bs=512 count=400",
        "",
    ),
    scene(
        "How long the calls took, in powers of two.",
        "map dump GUEST_LATENCY --hist",
        "* <n+> |*",
    )
    .after(4)
    .proves("guest_func_latency (Rust): a histogram of a function of the guest"),
    scene(
        "Retired are the executions that were completed, which is what the guest did.",
        "link list",
        "<n> <n>:guest_func_entry <n+> <n> 0 kprobe:vm1:vfs_read*",
    ),
    scene(
        "A name that is not there has near ones that are.",
        "link attach guest_func_entry kprobe:vm1:vfs_raed",
        "*vfs_read*",
    )
    .proves("errors that say what would be right"),
    scene(
        "All is as it was.",
        "link detach all",
        "detached link * from kprobe:vm1:vfs_read: <n+> runs, * 0 errors",
    )
    .proves("detached, with nothing left behind"),
];
