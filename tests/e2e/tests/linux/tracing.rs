//! The guest patches its own text, for its tracers and static keys, and reads it, while there are probes on it.

use anyhow::{Context, Result};
use axebpf_e2e::Machine;

use crate::{
    guest::{
        Counts, KILLS, MODES, attach, check_messages, check_workload, counts, detach_all,
        kernel_messages, statistic,
    },
    guest_lines, in_guest, shell,
};

const KILL: &str = "__arm64_sys_kill";

/// Has the guest trace [`KILL`], in an instance of its tracer of its own.
fn trace(machine: &mut Machine, tracer: &str) -> Result<()> {
    in_guest(
        machine,
        &format!(
            "cd /sys/kernel/tracing; mkdir -p instances/kill; \
             echo {KILL} > instances/kill/set_ftrace_filter; \
             echo {tracer} > instances/kill/current_tracer; echo > instances/kill/trace"
        ),
    )?;
    Ok(())
}

/// Returns how many calls the instance has seen since the last time.
fn traced(machine: &mut Machine) -> Result<u64> {
    let said = in_guest(
        machine,
        "head -n 3 instances/kill/trace; echo > instances/kill/trace",
    )?;
    let written = said.split_once("entries-written: ");
    let (_, written) = written.with_context(|| format!("no counts in\n{said}"))?;
    let (_, written) = written.split_once('/').unwrap_or_default();
    let count = written.split_whitespace().next().unwrap_or_default();
    Ok(count.parse()?)
}

/// In a hidden page, the guest patches the very instructions that are probed, and those beside them.
fn check_hidden(machine: &mut Machine) -> Result<()> {
    // The first is what ftrace has written when it started, the second is what it changes now, and the third is beside.
    let mut links = Vec::new();
    for offset in ["", "+4", "+8"] {
        links.push(attach(machine, &format!("{KILL}{offset} hidden-brk"))?);
    }
    for (round, tracer) in (1..).zip(["function", "nop", "function", "nop"]) {
        trace(machine, tracer)?;
        check_workload(machine).context(tracer)?;
        let expected = if tracer == "nop" { 0 } else { KILLS };
        assert_eq!(traced(machine)?, expected, "{tracer}");
        for &link in &links {
            assert_eq!(
                counts(machine, link)?,
                Counts::all_of(round * KILLS),
                "{tracer}"
            );
        }
    }
    assert_ne!(statistic(machine, "opened")?, 0);
    assert_ne!(statistic(machine, "closed")?, 0);
    check_messages(machine)?;
    detach_all(machine)
}

/// Functions all over the kernel, with tracepoints and static keys in them and beside them.
const PATCHED: [&str; 8] = [
    "try_to_wake_up",
    "handle_mm_fault",
    "kernel_clone",
    "vfs_read",
    "do_sys_openat2",
    "invoke_syscall",
    "get_signal",
    "hrtimer_interrupt",
];

/// All functions of the kernel are patched at once, and static keys with them, which probes everywhere survive.
fn check_everything_patched(machine: &mut Machine) -> Result<()> {
    let kill = attach(machine, &format!("{KILL} hidden-brk"))?;
    let switch = attach(machine, "__schedule hidden-brk")?;
    for place in PATCHED {
        attach(machine, &format!("{place} hidden-brk"))?;
    }
    in_guest(machine, "echo function_graph > current_tracer")?;
    in_guest(
        machine,
        "echo nop > current_tracer; echo > trace; echo 2048 > buffer_size_kb",
    )?;
    in_guest(machine, "echo 1 > /proc/sys/kernel/sched_schedstats")?;
    in_guest(
        machine,
        "echo 1 > events/sched/sched_switch/enable; echo 1 > events/syscalls/sys_enter_kill/enable",
    )?;
    let before = counts(machine, switch)?.hits;
    check_workload(machine)?;
    assert_eq!(counts(machine, kill)?, Counts::all_of(KILLS));
    assert!(counts(machine, switch)?.hits > before);
    let said = in_guest(machine, "grep -c kill trace")?;
    assert!(said.contains(&format!("vm1: {KILLS}\n")), "{said}");
    in_guest(
        machine,
        "echo 0 > events/enable; echo > trace; echo 0 > /proc/sys/kernel/sched_schedstats",
    )?;
    check_workload(machine)?;
    assert_eq!(counts(machine, kill)?, Counts::all_of(2 * KILLS));
    check_messages(machine)?;
    detach_all(machine)
}

/// Returns a probe in `mode` on an instruction of [`KILL`] that the guest does not patch.
fn beside(mode: &str) -> String {
    match mode {
        // Only what is reached from another page is seen in it, and ftrace leaves the first instruction as it is.
        "stage2-fault" => format!("{KILL} {mode}"),
        _ => format!("{KILL}+8 {mode}"),
    }
}

/// Returns what the guest reads of the page of [`KILL`] in its own memory.
fn own_text(machine: &mut Machine) -> Result<String> {
    let said = in_guest(
        machine,
        &format!("/init text $(grep ' {KILL}$' /proc/kallsyms | head -c 13)000"),
    )?;
    let read = guest_lines(&said, "text: ").concat();
    assert!(read.starts_with("text: 0x"), "{said}");
    Ok(read)
}

/// The guest reads its own text as it is, but for traps in plain sight.
fn check_reads(machine: &mut Machine) -> Result<()> {
    let own = own_text(machine)?;
    for mode in MODES {
        let kill = attach(machine, &beside(mode))?;
        let reads = statistic(machine, "reads")?;
        let seen = own_text(machine)?;
        let is_in_sight = ["brk", "hvc"].contains(&mode);
        assert_eq!(seen != own, is_in_sight, "{mode}");
        let is_stepped = statistic(machine, "reads")? > reads;
        assert_eq!(is_stepped, mode == "hidden-brk", "{mode}");
        check_workload(machine)?;
        assert_eq!(counts(machine, kill)?, Counts::all_of(KILLS), "{mode}");
        detach_all(machine)?;
        assert_eq!(own_text(machine)?, own, "{mode}");
    }
    Ok(())
}

/// In all modes, a probe beside what the guest patches is as good as in a page that nobody writes.
fn check_beside(machine: &mut Machine) -> Result<()> {
    for mode in MODES {
        let kill = attach(machine, &beside(mode))?;
        for (round, tracer) in (1..).zip(["function", "nop"]) {
            trace(machine, tracer)?;
            check_workload(machine).context(tracer)?;
            let expected = if tracer == "nop" { 0 } else { KILLS };
            assert_eq!(traced(machine)?, expected, "{mode}, {tracer}");
            let ours = counts(machine, kill)?;
            assert_eq!(ours, Counts::all_of(round * KILLS), "{mode}, {tracer}");
        }
        detach_all(machine)?;
    }
    check_messages(machine)
}

/// A trap in plain sight where the guest wants to patch is not what it expects: it says so, and traces nothing any
/// more. Nothing else comes of it.
fn check_plain_sight(machine: &mut Machine) -> Result<()> {
    let kill = attach(machine, &format!("{KILL}+4 brk"))?;
    trace(machine, "function")?;
    let said = kernel_messages(machine)?;
    assert!(said.contains("ftrace failed to modify"), "{said}");
    check_workload(machine)?;
    assert_eq!(counts(machine, kill)?, Counts::all_of(KILLS));
    detach_all(machine)?;
    check_workload(machine)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_guest_patches_and_reads_what_is_probed() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    check_hidden(&mut machine).context("hidden")?;
    check_everything_patched(&mut machine).context("everything patched")?;
    check_reads(&mut machine).context("reads")?;
    check_beside(&mut machine).context("beside")?;
    check_plain_sight(&mut machine).context("in plain sight")?;
    machine.shut_down()
}
