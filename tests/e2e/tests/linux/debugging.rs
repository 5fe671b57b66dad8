//! The guest debugs its processes and its kernel, while there are probes on its kernel.

use anyhow::{Context as _, Result};
use axebpf_e2e::Machine;

use crate::{
    PATIENCE, check_no_complaint,
    guest::{
        Counts, KILLS, attach, check_workload, counts, detach_all, kernel_address, state, statistic,
    },
    guest_lines, in_guest, shell,
};

/// What the guest's debugger says in each run.
const DEBUGGED: [&str; 5] = [
    "debugger: steps 800 ok",
    "debugger: breakpoint instruction 1 ok",
    "debugger: hardware breakpoint 1 ok",
    "debugger: watchpoint 1 ok",
    "debugger: exit code 42 ok",
];
/// How often the debugger has the kernel trace.
const TRACES: u64 = 2442;
/// How often the guest steps the process that it debugs, at least.
const STEPS: u64 = 800;

/// A process is debugged, beside probes in all modes.
fn check_processes(machine: &mut Machine) -> Result<()> {
    let said = in_guest(machine, "/init debug")?;
    assert_eq!(guest_lines(&said, "debugger: "), DEBUGGED, "{said}");
    let calls = attach(machine, "__arm64_sys_ptrace")?;
    for probe in [
        "schedule brk",
        "handle_mm_fault hvc",
        "vfs_write stage2-fault",
    ] {
        attach(machine, probe)?;
    }
    for round in 1..=2 {
        let suspended = statistic(machine, "suspended")?;
        let said = in_guest(machine, "/init debug")?;
        assert_eq!(guest_lines(&said, "debugger: "), DEBUGGED, "{said}");
        check_no_complaint(&said);
        assert_eq!(counts(machine, calls)?, Counts::all_of(round * TRACES));
        // Each step is one time that a vCPU is left alone, and none is for longer.
        assert!(statistic(machine, "suspended")? >= suspended + STEPS);
        assert_eq!(state(machine, calls)?, "Armed");
    }
    detach_all(machine)
}

/// The guest's kernel probes the very instruction that is probed: its breakpoint is none that could be displaced, so
/// that the link says that it sees nothing, until the instruction is back.
fn check_same_instruction(machine: &mut Machine) -> Result<()> {
    let same = attach(machine, "__arm64_sys_kill+8 hidden-brk")?;
    let beside = attach(machine, "__arm64_sys_kill+12 hidden-brk")?;
    in_guest(
        machine,
        "cd /sys/kernel/tracing; echo p:same __arm64_sys_kill+8 > kprobe_events; \
         echo 1 > events/kprobes/enable",
    )?;
    check_workload(machine)?;
    let said = in_guest(machine, "cat kprobe_profile")?;
    let row: Vec<_> = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.get(1) == Some(&"same"))
        .with_context(|| said.clone())?;
    assert_eq!(row[2..], [KILLS.to_string().as_str(), "0"], "{said}");
    assert_eq!(counts(machine, same)?, Counts::all_of(0));
    let told = state(machine, same)?;
    assert!(
        told.starts_with("Suspended") && told.contains("Exception"),
        "{told}"
    );
    assert_eq!(counts(machine, beside)?, Counts::all_of(KILLS));
    in_guest(
        machine,
        "echo 0 > events/kprobes/enable; echo > kprobe_events; cd /",
    )?;
    check_workload(machine)?;
    assert_eq!(counts(machine, same)?, Counts::all_of(KILLS));
    assert_eq!(state(machine, same)?, "Armed");
    assert_eq!(counts(machine, beside)?, Counts::all_of(2 * KILLS));
    detach_all(machine)
}

/// How often the program with the breakpoints calls `kill`: 300 times for them, and once to stop itself.
const STOPS: u64 = 301;

/// Starts the program that sets breakpoints where the system call `kill` begins; it stops itself with them in place.
fn set_breakpoints(machine: &mut Machine) -> Result<()> {
    let at = kernel_address(machine, "__arm64_sys_kill")?;
    machine.send_line(&format!("vm type 1 /init break {at:x} &"))?;
    machine.expect("breakpoint: calls 300 ok\n", PATIENCE)?;
    Ok(())
}

/// Lets that program go on, which takes one more call, and end.
fn clear_breakpoints(machine: &mut Machine) -> Result<()> {
    in_guest(machine, "kill -CONT $!; wait $!")?;
    Ok(())
}

/// The kernel has breakpoints in its own text on all vCPUs, and steps over them: `HVC`s count what it does.
fn check_kernel_breakpoints(machine: &mut Machine) -> Result<()> {
    // What is there is simulated. A step would have to use what the guest steps with.
    let kill = attach(machine, "__arm64_sys_kill+12 hvc")?;
    set_breakpoints(machine)?;
    check_workload(machine)?;
    assert_eq!(counts(machine, kill)?, Counts::all_of(STOPS + KILLS));
    clear_breakpoints(machine)?;
    check_workload(machine)?;
    let all = STOPS + 1 + 2 * KILLS;
    assert_eq!(counts(machine, kill)?, Counts::all_of(all));
    detach_all(machine)
}

/// With a probe by a breakpoint instruction, a vCPU that has such breakpoints runs without probes, and all links say
/// so.
fn check_suspension(machine: &mut Machine) -> Result<()> {
    let mut links = Vec::new();
    for probe in [
        "__arm64_sys_kill+12 hvc",
        "__arm64_sys_renameat2 hidden-brk",
        "arm64_force_sig_fault brk",
    ] {
        links.push(attach(machine, probe)?);
    }
    let suspended = statistic(machine, "suspended")?;
    set_breakpoints(machine)?;
    // Both vCPUs have left the guest since.
    check_workload(machine)?;
    let mut before = Vec::new();
    for &link in &links {
        let told = state(machine, link)?;
        assert!(told.starts_with("Partly { debugging: 2,"), "{told}");
        before.push(counts(machine, link)?);
    }
    assert!(statistic(machine, "suspended")? >= suspended + 2);
    check_workload(machine)?;
    for (&link, &before) in links.iter().zip(&before) {
        assert_eq!(counts(machine, link)?, before);
    }
    clear_breakpoints(machine)?;
    // Again, so that no vCPU is left that has not seen that there are none any more.
    check_workload(machine)?;
    let before = counts(machine, links[0])?;
    check_workload(machine)?;
    let kills = counts(machine, links[0])?;
    assert_eq!(kills.hits - before.hits, KILLS);
    for link in links {
        let counted = counts(machine, link)?;
        assert!(counted.hits > 0 && counted == Counts::all_of(counted.hits));
        assert_eq!(state(machine, link)?, "Armed");
    }
    detach_all(machine)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_guest_debugs_its_processes_and_its_kernel() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    check_processes(&mut machine).context("processes")?;
    check_same_instruction(&mut machine).context("the same instruction")?;
    check_kernel_breakpoints(&mut machine).context("the kernel's breakpoints")?;
    check_suspension(&mut machine).context("suspension")?;
    machine.shut_down()
}
