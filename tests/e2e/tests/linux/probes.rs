//! Probes on the kernel of a running guest.

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, PROMPT};

use crate::{PATIENCE, RESULTS, check_no_complaint, guest_lines, in_guest, shell};

/// How often the workload calls `kill`.
const KILLS: &str = "2000";

/// Runs the workload in the guest and checks what it says.
fn check_workload(machine: &mut Machine) -> Result<()> {
    let said = in_guest(machine, "/init work")?;
    assert_eq!(guest_lines(&said, "workload: "), RESULTS, "{said}");
    check_no_complaint(&said);
    Ok(())
}

/// Attaches a probe and returns the number of its link.
fn attach(machine: &mut Machine, probe: &str) -> Result<String> {
    let said = machine.command(&format!("vm probe 1 {probe}"))?;
    let link = said
        .lines()
        .find_map(|line| line.strip_prefix("link ")?.split_once(':'));
    let (number, _) = link.with_context(|| format!("`vm probe 1 {probe}` said\n{said}"))?;
    Ok(number.to_owned())
}

/// Returns hits, completed executions and missed ones of link `link`.
fn counts(machine: &mut Machine, link: &str) -> Result<Vec<String>> {
    let table = machine.command("vm probes 1")?;
    let row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&link));
    let row = row.with_context(|| format!("no link {link} in\n{table}"))?;
    Ok(row[1..4].iter().map(|&word| word.to_owned()).collect())
}

/// One system call is counted exactly, in each mode, while the results stay what they are.
fn check_counts(cpu: &str, vcpus: u32) -> Result<()> {
    let mut machine = shell(cpu, 2, vcpus)?;
    for mode in ["hidden-brk", "brk", "hvc", "stage2-fault"] {
        let place = if mode == "hvc" && cpu.starts_with("max") {
            // The entry is a landing pad, which `HVC` cannot replace.
            "__arm64_sys_kill+4"
        } else {
            "__arm64_sys_kill"
        };
        let link = attach(&mut machine, &format!("{place} {mode}"))?;
        let other = attach(&mut machine, "handle_mm_fault")?;
        check_workload(&mut machine).context(mode)?;
        assert_eq!(counts(&mut machine, &link)?, [KILLS, KILLS, "0"], "{mode}");
        let faults = counts(&mut machine, &other)?;
        assert_ne!(faults[0], "0", "{mode}");
        machine.command("vm unprobe 1")?;
    }
    check_workload(&mut machine)?;
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn each_mode_counts_what_the_guest_does() -> Result<()> {
    check_counts("cortex-a72", 2)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn each_mode_counts_on_four_vcpus_with_all_extensions() -> Result<()> {
    check_counts("max,pauth-impdef=on", 4)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn hundreds_of_probes_change_no_result() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for seed in ["1", "100"] {
        let said = machine.command(&format!("vm probe-many 1 200 {seed}"))?;
        assert!(said.contains("functions are probed"), "{said}");
        check_workload(&mut machine)?;
        machine.command("vm unprobe 1")?;
    }
    check_workload(&mut machine)?;
    machine.shut_down()
}

/// Types a command and returns all that comes until the next prompt, the guest's lines included.
fn answer(machine: &mut Machine, command: &str) -> Result<String> {
    machine.send_line(command)?;
    machine.expect(PROMPT, PATIENCE)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn probes_come_and_go_while_the_guest_works() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    machine.send_line("vm type 1 /init work; echo ended-$?")?;
    let mut said = String::new();
    for round in 0.. {
        for mode in ["hidden-brk", "brk", "hvc", "stage2-fault"] {
            for place in [
                "schedule",
                "vfs_read",
                "handle_mm_fault",
                "ret:kernel_clone",
            ] {
                said += &answer(&mut machine, &format!("vm probe 1 {place} {mode}"))?;
            }
            said += &answer(&mut machine, "vm unprobe 1")?;
        }
        if said.contains("vm1: ended-") || round == 2000 {
            break;
        }
    }
    assert!(said.contains("vm1: ended-0\n"), "{said}");
    assert_eq!(guest_lines(&said, "workload: "), RESULTS, "{said}");
    check_no_complaint(&said);
    machine.shut_down()
}

/// What the guest's debugger says in each run.
const DEBUGGED: [&str; 5] = [
    "debugger: steps 800 ok",
    "debugger: breakpoint instruction 1 ok",
    "debugger: hardware breakpoint 1 ok",
    "debugger: watchpoint 1 ok",
    "debugger: exit code 42 ok",
];

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_guest_debugs_its_own_processes() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    let said = in_guest(&mut machine, "/init debug")?;
    assert_eq!(guest_lines(&said, "debugger: "), DEBUGGED, "{said}");
    let calls = attach(&mut machine, "__arm64_sys_ptrace")?;
    for probe in [
        "schedule brk",
        "handle_mm_fault hvc",
        "vfs_write stage2-fault",
    ] {
        attach(&mut machine, probe)?;
    }
    for round in 1..=2 {
        let said = in_guest(&mut machine, "/init debug")?;
        assert_eq!(guest_lines(&said, "debugger: "), DEBUGGED, "{said}");
        check_no_complaint(&said);
        let expected = (round * 2442).to_string();
        assert_eq!(counts(&mut machine, &calls)?, [&expected, &expected, "0"]);
    }
    machine.shut_down()
}

/// Functions that only the workload calls, and how a probe on the instruction behind their first one is made: system
/// calls, one that faults end in, and one that is called through a table of functions.
const COUNTED: [(&str, &str); 6] = [
    ("__arm64_sys_kill", "hidden-brk"),
    ("__arm64_sys_pipe2", "brk"),
    ("__arm64_sys_renameat2", "hvc"),
    ("__arm64_sys_unlinkat", "hvc"),
    ("arm64_force_sig_fault", "hidden-brk"),
    ("pipe_read", "stage2-fault"),
];

/// Returns what the guest's kprobes have counted, in the order of [`COUNTED`].
fn guest_counts(machine: &mut Machine) -> Result<Vec<u64>> {
    let said = in_guest(machine, "cat /sys/kernel/tracing/kprobe_profile")?;
    (0..COUNTED.len())
        .map(|number| {
            let name = format!("probe{number}");
            let row = said
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>())
                .find(|words| words.contains(&name.as_str()));
            let row = row.with_context(|| format!("no {name} in\n{said}"))?;
            let at = row.iter().position(|&word| word == name).unwrap_or(0);
            Ok(row[at + 1].parse()?)
        })
        .collect()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn counts_agree_with_those_of_the_guests_own_kprobes() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for (number, (function, _)) in COUNTED.iter().enumerate() {
        let events = "/sys/kernel/tracing/kprobe_events";
        in_guest(
            &mut machine,
            &format!("echo p:probe{number} {function} >> {events}"),
        )?;
    }
    in_guest(
        &mut machine,
        "echo 1 > /sys/kernel/tracing/events/kprobes/enable",
    )?;
    // The guest's kprobes are on the first instructions, ours on the second ones.
    let mut links = Vec::new();
    for (function, mode) in COUNTED {
        links.push(attach(&mut machine, &format!("{function}+4 {mode}"))?);
    }
    let before = guest_counts(&mut machine)?;
    check_workload(&mut machine)?;
    let after = guest_counts(&mut machine)?;
    for (number, link) in links.iter().enumerate() {
        let guest = (after[number] - before[number]).to_string();
        let (function, mode) = COUNTED[number];
        assert_ne!(guest, "0", "{function}");
        let ours = counts(&mut machine, link)?;
        assert_eq!(ours, [&guest, &guest, "0"], "{function}, {mode}");
    }
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_vm_is_destroyed_with_probes_on_it() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for probe in ["schedule", "vfs_read brk", "ret:kernel_clone hvc"] {
        attach(&mut machine, probe)?;
    }
    machine.command("vm shutdown 1")?;
    let said = machine.command("vm destroy 1")?;
    check_no_complaint(&said);
    machine.command("vm create linux vcpus 1")?;
    machine.send_line("vm boot 2")?;
    machine.expect("vm2: init: workload passed", PATIENCE)?;
    let said = machine.command("vm probes 2")?;
    assert!(!said.contains("Armed"), "{said}");
    machine.shut_down()
}
