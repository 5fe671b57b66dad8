//! Probes on the kernel of a running guest.

use crate::{
    PATIENCE, check_no_complaint,
    guest::{Counts, attach, check_workload, counts},
    guest_lines, in_guest, shell,
};
use anyhow::{Context as _, Result};

/// Programs at all functions of a kind, and at their returns, run without a change to what the guest does.
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn programs_at_all_functions_of_a_kind_change_no_result() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 4)?;
    machine.command("prog load guest_func_latency")?;
    for (id, attach) in (1..).zip([
        "guest_func_entry kprobe:vm1:vfs_*",
        "guest_func_return kretprobe:vm1:vfs_*",
        "guest_func_entry kprobe:vm1:do_* --limit 400",
        "guest_func_return kretprobe:vm1:do_sys*",
    ]) {
        let said = machine.command(&format!("link attach {attach}"))?;
        assert!(said.starts_with(&format!("link {id}: ")), "{said}");
        check_workload(&mut machine).context(attach)?;
        let list = machine.command("link list")?;
        let mut rows = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|words| words.first() == Some(&id.to_string().as_str()));
        let runs = row.and_then(|words| words.get(2)?.parse::<u64>().ok());
        assert!(runs.is_some_and(|runs| runs > 0), "{list}");
    }
    let said = machine.command("link detach all")?;
    check_no_complaint(&said);
    check_workload(&mut machine)?;
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
        assert_eq!(counts(&mut machine, calls)?, Counts::all_of(round * 2442));
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
