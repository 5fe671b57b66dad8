//! The demonstration of probes on the hypervisor's own functions.

use super::{Demo, Scene, scene};

pub(super) const DEMO: Demo = Demo {
    title: "axebpf: eBPF programs at any function of a running hypervisor",
    scenes: &SCENES,
};

const SCENES: [Scene; 19] = [
    scene(
        "The hypervisor runs a VM with two vCPUs. Nothing in its functions was prepared for what follows.",
        "vm list",
        "<n> * running 2 *",
    ),
    scene(
        "Which of its own functions can be probed, and which not?",
        "hprobe check axebpf_testbed::*",
        "<n> of <n> functions can be probed",
    )
    .proves("the hypervisor's functions, by a glob over their names"),
    scene(
        "A program in C counts calls. One link puts it at all of them.",
        "prog load func_count",
        "object <n>, func_count: *",
    ),
    scene(
        "Each first instruction becomes a BRK, behind one fence, while the guest runs.",
        "link attach func_count hprobe:axebpf_testbed::*",
        "link <n>: func_count at *",
    ),
    scene(
        "Its hash map: how often each function was called, by name.",
        "map dump calls --key sym",
        "<n+> axebpf_testbed::*exit::handle",
    )
    .after(2)
    .proves("func_count (C): calls of each function"),
    scene(
        "How these are executed: most first instructions are simulated, and need no second trap.",
        "hprobe list axebpf_testbed::*exit::*",
        "0x<x> entry simulated <n> <n+> <n>",
    )
    .proves("probes with their hits, and how their instructions are executed"),
    scene(
        "All functions are as they were.",
        "link detach func_count",
        "detached link * 0 errors",
    ),
    scene(
        "A program in Rust measures how long calls take.",
        "prog load func_latency",
        "object <n>, func_latency: *",
    ),
    scene(
        "It runs when the handler of exits returns; the entry hands over its time.",
        "link attach func_latency hretprobe:*::exit::handle",
        "link <n>: func_latency at *",
    ),
    scene(
        "The histogram, in nanoseconds:",
        "map dump CALL_TIMES --hist",
        "* <n+> |*#*|",
    )
    .after(2)
    .proves("func_latency (Rust): a histogram of how long calls take"),
    scene(
        "A filter looks at registers: only calls that took more than 50 microseconds.",
        "link attach func_latency hretprobe:*::exit::handle if duration_ns > 50000",
        "link <n>: func_latency at *",
    ),
    scene(
        "The second link ran less often than the first.",
        "link list",
        "<n> *func_latency <n> <n> 0 *if*",
    )
    .after(1)
    .proves("a filter over registers and durations"),
    scene(
        "How does the hypervisor come to handle an interrupt? A program in C counts call chains.",
        "prog load stack_count",
        "object <n>, stack_count: *",
    ),
    scene(
        "Return probes do not disturb it: it sees where functions really return to.",
        "link attach stack_count hprobe:*::irq::handle_pending",
        "link <n>: stack_count at *",
    ),
    scene(
        "How often each chain occurred:",
        "map dump stack_counts",
        "<n> <n+>",
    )
    .after(2),
    scene(
        "The chains, with names:",
        "map dump stacks",
        "*0x<x> *irq::handle_pending+0x0*",
    )
    .proves("stack_count (C): call chains of the hypervisor, with names"),
    scene(
        "What a hit itself executes is refused, such as the exception vectors.",
        "link attach func_count hprobe:exception_of_el2",
        "error: * must not be probed: it is trap entry or exit",
    )
    .proves("a place that must not be probed is refused, with the reason"),
    scene(
        "All of it goes away again.",
        "link detach all",
        "detached link * 0 errors",
    )
    .proves("probes taken out of a running hypervisor"),
    scene(
        "The guest has checked itself all the time, and found nothing wrong.",
        "vm list",
        "<n> demo running 2 <n> <n+> 0",
    )
    .proves("a guest that noticed nothing"),
];
