//! Probes on the kernel of a running guest.

use crate::{
    PATIENCE, check_no_complaint,
    guest::{attach, check_workload, link_counts},
    shell,
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

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_vm_is_destroyed_with_probes_on_it() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for probe in ["schedule", "vfs_read brk", "ret:kernel_clone hvc"] {
        attach(&mut machine, probe)?;
    }
    machine.command("prog load func_count")?;
    for target in [
        "kprobe:vm1:handle_mm_fault",
        "kretprobe:vm1:vfs_read --mode brk",
        "kprobe:vm1:do_sys* --mode auto",
    ] {
        let said = machine.command(&format!("link attach func_count {target}"))?;
        check_no_complaint(&said);
    }
    check_workload(&mut machine)?;
    let [runs, _, errors] = link_counts(&mut machine, "1")?;
    assert!(runs > 0 && errors == 0, "{runs} runs, {errors} errors");
    machine.command("vm shutdown 1")?;
    let said = machine.command("vm destroy 1")?;
    check_no_complaint(&said);
    let said = machine.command("link list")?;
    assert!(said.contains("nothing is attached"), "{said}");
    machine.command("vm create linux vcpus 1")?;
    machine.send_line("vm boot 2")?;
    machine.expect("vm2: init: workload passed", PATIENCE)?;
    let said = machine.command("vm probes 2")?;
    assert!(!said.contains("Armed"), "{said}");
    machine.command("link attach func_count kprobe:vm2:vfs_read")?;
    machine.command("prog unload func_count --force")?;
    machine.shut_down()
}
