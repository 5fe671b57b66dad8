//! The demonstration of tracepoints.

use super::{Demo, Scene, scene};

pub(super) const DEMO: Demo = Demo {
    title: "axebpf: eBPF programs trace a hypervisor at EL2 while it runs a guest",
    scenes: &SCENES,
};

const SCENES: [Scene; 17] = [
    scene(
        "The hypervisor runs a VM with two vCPUs.",
        "vm list",
        "<n> * running 2 *",
    ),
    scene(
        "These tracepoints are about its vCPUs. Each costs one NOP while nobody listens.",
        "trace list vmm:vcpu_*",
        "vmm:vcpu_run_exit *",
    ),
    scene(
        "Built-in statistics need no program.",
        "trace enable vmm:vcpu_run_*",
        "enabled 2 *",
    ),
    scene(
        "How often they fired, and how long the guest ran before each exit:",
        "trace stat vmm:vcpu_run_exit --hist",
        "vmm:vcpu_run_exit <n+> *",
    )
    .after(2)
    .proves("built-in statistics of the exits of a running guest"),
    scene(
        "The latest events, as they come:",
        "trace stream --count 6",
        "*vmm:vcpu_run_e*pc=*",
    )
    .proves("events streamed to the console"),
    scene(
        "Back to a NOP each.",
        "trace disable vmm:*",
        "disabled <n+> *",
    ),
    scene(
        "An eBPF program in C counts the exits by VM, vCPU and reason.",
        "prog load exit_count --attach",
        "object <n>, exit_count: *",
    ),
    scene(
        "Its hash map, live. Reason 22 is a hypercall, 36 a data abort, 64 an interrupt.",
        "map dump exits --key u32,u32,u32",
        "<n>,<n>,<n> <n+>",
    )
    .after(2)
    .proves("exit_count (C): exits by VM, vCPU and reason in a hash map"),
    scene(
        "Two programs in Rust measure the time from each exit to the next entry.",
        "prog load exit_latency --attach",
        "object <n>, exit_latency: *",
    ),
    scene(
        "The histogram, in nanoseconds:",
        "map dump LATENCY --hist",
        "* <n+> |*#*|",
    )
    .after(2)
    .proves("exit_latency (Rust): a histogram of exit latencies"),
    scene(
        "One in Rust sends a record for each exit through a ring buffer.",
        "prog load events --attach",
        "object <n>, events: *",
    ),
    scene(
        "The time, PC, CPU, VM, vCPU and reason of each:",
        "map dump EVENTS --count 6 --value u64,x64,u32,u32,u32,u32",
        "<n+>,<x>,<n>,<n>,<n>,<n>",
    )
    .proves("events (Rust): records through a ring buffer"),
    scene(
        "What was recorded above is not wanted any more.",
        "trace buffer --clear",
        "*",
    ),
    scene(
        "And one in C prints.",
        "prog load printk --attach",
        "object <n>, printk: *",
    ),
    scene("What it prints:", "trace stream --count 6", "*hypercall *")
        .proves("printk (C): text that a program prints"),
    scene(
        "Link by link: how often each ran, missed a hit, or was stopped for an error.",
        "link list",
        "<n> *exit_count <n+> <n> 0 *vmm:vcpu_run_exit",
    ),
    scene(
        "All of it goes away again, while the guest runs on.",
        "link detach all",
        "detached link * 0 errors",
    )
    .proves("programs detached from a running hypervisor"),
];
