//! The workload on each number of vCPUs and kind of CPU: without probes, with probes in each mode, and with probes that
//! come and go all the time.

use anyhow::{Context, Result};
use axebpf_e2e::Machine;

use crate::{
    PATIENCE, RESULTS, check_no_complaint,
    guest::{
        Counts, KILLS, MODES, answer, attach, check_messages, check_workload, counts, detach_all,
        wait_until_off,
    },
    guest_lines, shell,
};

fn check(cpu: &str, vcpus: u32) -> Result<()> {
    let mut machine = shell(cpu, 2, vcpus)?;
    check_workload(&mut machine).context("without probes")?;
    for mode in MODES {
        check_mode(&mut machine, cpu, mode).context(mode)?;
    }
    check_coming_and_going(&mut machine).context("coming and going")?;
    check_pauses(&mut machine, cpu).context("pauses")?;
    check_workload(&mut machine).context("without probes again")?;
    machine.send_line("vm type 1 poweroff -f")?;
    wait_until_off(&mut machine)?;
    machine.shut_down()
}

/// Where probes come and go, and what is probed beside what is counted: functions that run at any time, one of them
/// with its returns.
///
/// A page without execute permission cannot be left and entered again between a load and a store exclusive, as those
/// before `kernel_clone` are, so that it is refused in that mode.
fn busy(mode: &str) -> &'static [&'static str] {
    const BUSY: [&str; 4] = [
        "schedule",
        "vfs_read",
        "handle_mm_fault",
        "ret:kernel_clone",
    ];
    match mode {
        "stage2-fault" => &BUSY[..3],
        _ => &BUSY,
    }
}

/// Returns where in a function a probe goes. With branch targets, the entry can be a landing pad, which `HVC` cannot
/// replace.
fn entry(cpu: &str, mode: &str) -> &'static str {
    match mode {
        "hvc" if cpu.starts_with("max") => "+4",
        _ => "",
    }
}

/// One system call is counted exactly, and what is busy is probed beside it.
fn check_mode(machine: &mut Machine, cpu: &str, mode: &str) -> Result<()> {
    let offset = entry(cpu, mode);
    let kill = attach(machine, &format!("__arm64_sys_kill{offset} {mode}"))?;
    let mut others = Vec::new();
    for place in busy(mode) {
        others.push(attach(machine, &format!("{place}{offset} {mode}"))?);
    }
    check_workload(machine)?;
    assert_eq!(counts(machine, kill)?, Counts::all_of(KILLS));
    for (other, place) in others.into_iter().zip(busy(mode)) {
        let counted = counts(machine, other)?;
        assert_ne!(counted.hits, 0, "{place}");
    }
    detach_all(machine)
}

fn check_coming_and_going(machine: &mut Machine) -> Result<()> {
    let mut said = answer(machine, "vm type 1 /init work; echo ended-$?")?;
    for _ in 0..2000 {
        for mode in MODES {
            for place in busy(mode) {
                said += &answer(machine, &format!("vm probe 1 {place} {mode}"))?;
            }
            said += &answer(machine, "vm unprobe 1")?;
        }
        if said.contains("vm1: ended-") {
            break;
        }
    }
    assert!(said.contains("vm1: ended-0\n"), "{said}");
    assert_eq!(guest_lines(&said, "workload: "), RESULTS, "{said}");
    check_no_complaint(&said);
    check_messages(machine)
}

/// Pauses the VM and lets it go on, and returns what was said; meanwhile nothing happens to what is counted.
fn pause_once(machine: &mut Machine) -> Result<String> {
    let mut said = answer(machine, "vm pause 1")?;
    let before = answer(machine, "vm probes 1")?;
    let list = answer(machine, "vm list")?;
    assert!(list.contains(" paused "), "{list}");
    assert_eq!(before, answer(machine, "vm probes 1")?);
    said += &before;
    said += &answer(machine, "vm resume 1")?;
    // Some of the workload, before the next pause.
    for _ in 0..4 {
        said += &answer(machine, "vm list")?;
    }
    Ok(said)
}

/// The VM is paused again and again while its workload runs, with probes in all modes: nothing is lost.
fn check_pauses(machine: &mut Machine, cpu: &str) -> Result<()> {
    const PAUSES: u32 = 20;
    let mut links = vec![attach(machine, "__arm64_sys_kill hidden-brk")?];
    for (place, mode) in [
        ("schedule", "brk"),
        ("handle_mm_fault", "hvc"),
        ("vfs_write", "stage2-fault"),
    ] {
        let offset = entry(cpu, mode);
        links.push(attach(machine, &format!("{place}{offset} {mode}"))?);
    }
    let mut said = answer(machine, "vm type 1 /init work; echo ended-$?")?;
    let mut pauses = 0;
    while pauses < PAUSES && !said.contains("vm1: ended-") {
        said += &pause_once(machine)?;
        pauses += 1;
    }
    assert!(pauses > 2, "{said}");
    if !said.contains("vm1: ended-") {
        said += &machine.expect("vm1: ended-0\n", PATIENCE)?;
    }
    assert!(said.contains("vm1: ended-0\n"), "{said}");
    assert_eq!(guest_lines(&said, "workload: "), RESULTS, "{said}");
    check_no_complaint(&said);
    check_messages(machine)?;
    assert_eq!(counts(machine, links[0])?, Counts::all_of(KILLS));
    for link in links {
        let counted = counts(machine, link)?;
        assert_ne!(counted.hits, 0);
        assert_eq!(counted.missed, 0);
    }
    detach_all(machine)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn one_vcpu_works_the_same_under_all_probes() -> Result<()> {
    check("cortex-a72", 1)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn two_vcpus_work_the_same_under_all_probes() -> Result<()> {
    check("neoverse-n1", 2)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn three_vcpus_work_the_same_under_all_probes() -> Result<()> {
    check("cortex-a76", 3)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn four_vcpus_that_share_two_cpus_work_the_same_under_all_probes() -> Result<()> {
    check("cortex-a72", 4)
}

/// Pointers are signed with a fast algorithm of QEMU's own: the standard one takes most of the emulated time.
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_cpu_with_all_extensions_works_the_same_under_all_probes() -> Result<()> {
    check("max,pauth-impdef=on", 4)
}
