//! What probes count beside what the guest itself counts: its kprobes, its function tracer, and a module that counts
//! its own calls.

use anyhow::{Context, Result, ensure};
use axebpf_e2e::Machine;

use crate::{
    guest::{
        Counts, MODES, address_of, attach, check_workload, counts, detach_all, load_module,
        statistic,
    },
    in_guest, shell,
};

/// Functions that only the workload calls, and how a probe in them is made: system calls, one that faults end in, and
/// one that is called through a table of functions.
const COUNTED: [(&str, &str); 6] = [
    ("__arm64_sys_kill", "hidden-brk"),
    ("__arm64_sys_pipe2", "brk"),
    ("__arm64_sys_renameat2", "hvc"),
    ("__arm64_sys_unlinkat", "hvc"),
    ("arm64_force_sig_fault", "hidden-brk"),
    ("pipe_read", "stage2-fault"),
];

/// Has the guest count [`COUNTED`] in its own two ways, which change the first two instructions of each.
fn start_counting(machine: &mut Machine) -> Result<()> {
    in_guest(
        machine,
        "cd /sys/kernel/tracing; mkdir instances/count; echo > instances/count/trace",
    )?;
    for (number, (function, _)) in COUNTED.iter().enumerate() {
        in_guest(
            machine,
            &format!(
                "echo p:probe{number} {function} >> kprobe_events; \
                 echo {function} >> instances/count/set_ftrace_filter"
            ),
        )?;
    }
    in_guest(
        machine,
        "echo 1 > events/kprobes/enable; echo function > instances/count/current_tracer",
    )?;
    Ok(())
}

/// Returns what the guest's kprobes have counted, in the order of [`COUNTED`].
fn kprobe_counts(machine: &mut Machine) -> Result<Vec<u64>> {
    let said = in_guest(machine, "cat kprobe_profile")?;
    (0..COUNTED.len())
        .map(|number| {
            let name = format!("probe{number}");
            let mut words = said.split_whitespace().skip_while(|&word| word != name);
            let count = words
                .nth(1)
                .with_context(|| format!("no {name} in\n{said}"))?;
            Ok(count.parse()?)
        })
        .collect()
}

/// Returns how often the function tracer has seen each of [`COUNTED`].
fn traced_counts(machine: &mut Machine) -> Result<Vec<u64>> {
    let said = in_guest(machine, "head -n 3 instances/count/trace")?;
    let written = said.split_once("entries-written: ");
    let (_, written) = written.with_context(|| format!("no counts in\n{said}"))?;
    let written = written.split_whitespace().next().unwrap_or_default();
    let (kept, all) = written.split_once('/').unwrap_or_default();
    ensure!(kept == all, "the tracer has lost entries: {written}");
    let mut found = Vec::new();
    for (function, _) in COUNTED {
        // Without a pipe, which would be counted; and `grep` fails where it finds nothing.
        let command = format!("grep -c ': {function} <-' instances/count/trace; true");
        let said = in_guest(machine, &command)?;
        let count = said
            .lines()
            .find_map(|line| line.strip_prefix("vm1: ")?.parse().ok());
        found.push(count.with_context(|| format!("no count in\n{said}"))?);
    }
    Ok(found)
}

/// Our probes are behind the guest's, on instructions that neither of its ways touches.
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn counts_agree_with_those_of_the_guests_own_kprobes_and_tracer() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 4)?;
    start_counting(&mut machine)?;
    let mut links = Vec::new();
    for (function, mode) in COUNTED {
        links.push(attach(&mut machine, &format!("{function}+8 {mode}"))?);
    }
    let kprobes_before = kprobe_counts(&mut machine)?;
    let traced_before = traced_counts(&mut machine)?;
    check_workload(&mut machine)?;
    let traced = traced_counts(&mut machine)?;
    let kprobes = kprobe_counts(&mut machine)?;
    for (number, (function, mode)) in COUNTED.into_iter().enumerate() {
        let guest = kprobes[number] - kprobes_before[number];
        assert_ne!(guest, 0, "{function}");
        assert_eq!(traced[number] - traced_before[number], guest, "{function}");
        let ours = counts(&mut machine, links[number])?;
        assert_eq!(ours, Counts::all_of(guest), "{function}, {mode}");
    }
    detach_all(&mut machine)?;
    machine.shut_down()
}

/// How often each process has the module call its functions, and how many do at the same time.
const ROUNDS: u64 = 250;
const PROCESSES: u64 = 4;

/// Has the module call each of its functions on several vCPUs at the same time, and checks what it says.
fn run_module(machine: &mut Machine, runs_before: u64) -> Result<()> {
    let run = format!(
        "for i in $(seq {PROCESSES}); do echo run {ROUNDS} >/proc/axebpf & done; wait; cat /proc/axebpf"
    );
    let said = in_guest(machine, &run)?;
    assert!(said.contains("vm1: wrong 0\n"), "{said}");
    let calls = (runs_before + 1) * ROUNDS * PROCESSES;
    let counted = said.matches(&format!(" {calls}\n")).count();
    assert_eq!(counted, FIRST.len(), "{calls} calls in\n{said}");
    Ok(())
}

/// The module's functions, which differ in their first instruction, and whether EL2 simulates that or the guest has to
/// execute it.
const FIRST: [(&str, Way); 12] = [
    ("nothing", Way::Simulated),
    ("push", Way::Simulated),
    ("branch", Way::Simulated),
    ("literal", Way::Simulated),
    ("move", Way::Simulated),
    ("task", Way::Either),
    ("flags", Way::Either),
    ("barrier", Way::Stepped),
    ("mask", Way::Stepped),
    ("translate", Way::Stepped),
    ("sign", Way::Either),
    ("checksum", Way::Either),
];

/// How an instruction is executed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Simulated,
    Stepped,
    /// Right in either way, and how is nobody's promise.
    Either,
}

/// In each mode, probes on functions with all kinds of first instructions count what the module counts.
fn check_module(cpu: &str) -> Result<()> {
    let mut machine = shell(cpu, 2, 4)?;
    let symbols = load_module(&mut machine)?;
    for (runs, mode) in (0..).zip(MODES) {
        let steps_before = statistic(&mut machine, "steps")?;
        let mut links = Vec::new();
        for (name, _) in FIRST {
            // With branch targets, `PACIASP` is a landing pad, which `HVC` cannot replace.
            if (name, mode) == ("sign", "hvc") && cpu.starts_with("max") {
                continue;
            }
            let at = address_of(&symbols, &format!("counted_{name}"))?;
            links.push((name, attach(&mut machine, &format!("{at:#x} {mode}"))?));
        }
        run_module(&mut machine, runs).context(mode)?;
        for (name, link) in links {
            let ours = counts(&mut machine, link)?;
            assert_eq!(ours, Counts::all_of(ROUNDS * PROCESSES), "{name}, {mode}");
        }
        let steps = statistic(&mut machine, "steps")? - steps_before;
        let of = |way: Way| FIRST.iter().filter(|(_, known)| *known == way).count() as u64;
        let calls = ROUNDS * PROCESSES;
        assert!(steps >= calls * of(Way::Stepped), "{mode}: {steps} steps");
        let most = FIRST.len() as u64 - of(Way::Simulated);
        assert!(steps <= calls * most, "{mode}: {steps} steps");
        detach_all(&mut machine)?;
    }
    check_returns(&mut machine, &symbols)?;
    machine.shut_down()
}

/// Returns are counted from when the place to which a function returns is known, which the first calls tell.
fn check_returns(machine: &mut Machine, symbols: &[(String, u64)]) -> Result<()> {
    let mut links = Vec::new();
    for (name, _) in FIRST {
        let at = address_of(symbols, &format!("counted_{name}"))?;
        links.push((name, attach(machine, &format!("ret:{at:#x}"))?));
    }
    for runs in [MODES.len(), MODES.len() + 1] {
        run_module(machine, runs as u64)?;
    }
    for (name, link) in links {
        let ours = counts(machine, link)?;
        assert_eq!(ours.hits, ours.retired, "{name}");
        assert_eq!(ours.hits + ours.missed, 2 * ROUNDS * PROCESSES, "{name}");
        assert!(ours.hits >= ROUNDS * PROCESSES, "{name}: {ours:?}");
    }
    detach_all(machine)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn counts_agree_with_those_of_a_module() -> Result<()> {
    check_module("cortex-a72")
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn counts_agree_with_those_of_a_module_on_a_cpu_with_all_extensions() -> Result<()> {
    check_module("max,pauth-impdef=on")
}
