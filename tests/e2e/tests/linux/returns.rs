//! Returns of calls that sleep, go on elsewhere, call themselves, or never end; and functions of a module by their
//! names.

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, upload_by};

use crate::{
    check_no_complaint, counters,
    guest::{
        Counts, attach, check_workload, counts, detach_all, link_counts, load_module, statistic,
    },
    guest_lines, in_guest, shell,
};

/// Functions in which tasks sleep, and are woken on another vCPU.
const SLEEPING: [&str; 3] = ["pipe_read", "do_wait", "kernel_wait4"];
/// How many calls that never return are remembered for a link, as long as there is room: 64 in each of 8 parts.
const ROOM: u64 = 512;
/// How many processes end.
const PROCESSES: u64 = 700;

/// Every call returns, or is missed because nobody knew yet where it would; and who ends never does.
fn check_sleeping(machine: &mut Machine) -> Result<()> {
    let mut links = Vec::new();
    for function in SLEEPING {
        let entries = attach(machine, function)?;
        links.push((
            function,
            entries,
            attach(machine, &format!("ret:{function}"))?,
        ));
    }
    let moved = attach(machine, "set_task_cpu")?;
    let errors = statistic(machine, "errors")?;
    // Those who wait for a child all the time, several at once.
    let children =
        "for i in 1 2 3 4; do (for j in 1 2 3 4 5 6 7 8 9 10; do (:); done) & done; wait";
    in_guest(machine, children)?;
    check_workload(machine)?;
    assert_ne!(counts(machine, moved)?.hits, 0);
    // The shell has returned from its own wait, and waits for what is typed elsewhere.
    for (function, entries, returns) in links {
        let entries = counts(machine, entries)?;
        let returns = counts(machine, returns)?;
        assert_eq!(entries.hits, entries.retired, "{function}");
        assert_eq!(returns.hits + returns.missed, entries.hits, "{function}");
        // How many calls there are until their place is armed depends on how fast the machine is.
        assert!(returns.missed < returns.hits, "{function}: {returns:?}");
        assert!(entries.hits > 100, "{function}: {entries:?}");
    }
    assert_eq!(statistic(machine, "errors")?, errors);
    detach_all(machine)
}

/// Calls of a task that ends in them are forgotten to make room, and count as missed then.
fn check_never_returning(machine: &mut Machine) -> Result<()> {
    let entries = attach(machine, "do_exit")?;
    let returns = attach(machine, "ret:do_exit")?;
    in_guest(
        machine,
        &format!("for i in $(seq {PROCESSES}); do (:); done"),
    )?;
    let entries = counts(machine, entries)?;
    let returns = counts(machine, returns)?;
    assert!(entries.hits >= PROCESSES, "{entries:?}");
    assert_eq!(returns.hits, 0);
    let remembered = entries.hits - returns.missed;
    assert!(remembered <= ROOM, "{remembered} of {entries:?}");
    detach_all(machine)?;
    check_workload(machine)
}

/// How deep the module calls itself, and how often.
const DEPTH: u64 = 40;
const TIMES: u64 = 25;

/// Has the module call itself.
fn nest(machine: &mut Machine) -> Result<()> {
    let said = in_guest(
        machine,
        &format!(
            "for i in $(seq {TIMES}); do echo nest {DEPTH} > /proc/axebpf; done; cat /proc/axebpf"
        ),
    )?;
    ensure!(said.contains("vm1: wrong 0\n"), "{said}");
    Ok(())
}

/// Each of the calls that are open at the same time returns once.
fn check_nested(machine: &mut Machine, symbols: &[(String, u64)]) -> Result<()> {
    const CALLS: u64 = (DEPTH + 1) * TIMES;
    let at = crate::guest::address_of(symbols, "counted_nest")?;
    let entries = attach(machine, &format!("{at:#x}"))?;
    let returns = attach(machine, &format!("ret:{at:#x}"))?;
    // The calls that are open when the places become known are missed.
    nest(machine)?;
    let first = counts(machine, returns)?;
    assert_eq!(first.hits + first.missed, CALLS, "{first:?}");
    nest(machine)?;
    assert_eq!(counts(machine, entries)?, Counts::all_of(2 * CALLS));
    let second = counts(machine, returns)?;
    assert_eq!(second.missed, first.missed);
    assert_eq!(second.hits, first.hits + CALLS);
    detach_all(machine)
}

/// Programs are attached to functions of the module by its name and theirs, which the guest's own list has.
fn check_names(machine: &mut Machine) -> Result<()> {
    let said = in_guest(
        machine,
        "grep -e axebpf_guest -e ' T vfs_' -e ' T __arm64_sys_[k-p]' /proc/kallsyms",
    )?;
    let list: String = guest_lines(&said, "ffff")
        .into_iter()
        .map(|line| format!("{line}\n"))
        .collect();
    ensure!(list.contains("counted_nest\t[axebpf_guest]"), "{list}");
    let said = upload_by(machine, "vm syms 1 --upload", list.as_bytes(), |_| {})?;
    ensure!(said.contains("where the file says"), "{said}");
    machine.command("prog load func_count")?;
    for target in [
        "kprobe:vm1:axebpf_guest:counted_nest",
        "kretprobe:vm1:axebpf_guest:counted_nest --maxactive 512",
        "kprobe:vm1:axebpf_guest:counted_p*",
        "kprobe:vm1:__arm64_sys_kill",
    ] {
        let said = machine.command(&format!("link attach func_count {target}"))?;
        check_no_complaint(&said);
    }
    nest(machine)?;
    nest(machine)?;
    in_guest(machine, "echo run 100 > /proc/axebpf")?;
    check_workload(machine)?;
    let calls = 2 * (DEPTH + 1) * TIMES;
    assert_eq!(link_counts(machine, "1")?, [calls, 0, 0]);
    let [returned, missed, errors] = link_counts(machine, "2")?;
    assert_eq!((returned + missed, errors), (calls, 0));
    assert!(returned >= calls / 2, "{returned} of {calls}");
    assert_eq!(link_counts(machine, "3")?, [100, 0, 0]);
    assert_eq!(link_counts(machine, "4")?, [2000, 0, 0]);
    check_bad_targets(machine)?;
    machine.command("link detach all")?;
    Ok(())
}

/// What cannot be attached to is said.
fn check_bad_targets(machine: &mut Machine) -> Result<()> {
    for (target, complaint) in [
        ("kprobe:vm1:vfs_raed", "did you mean `vfs_read`"),
        ("kprobe:vm1:axebpf_guest:vfs_read", "vfs_read"),
        ("kprobe:vm1:nosuch:vfs_read", "vfs_read"),
        ("kprobe:vm1:nosuch_*", "nosuch_*"),
        ("kprobe:vm1:__arm64_sys_kill+0x10000", "0x10000"),
        (
            "kprobe:vm1:__arm64_sys_kill+2",
            "no instruction begins 2 bytes",
        ),
        ("kprobe:vm1:__arm64_sys_kill --mode nosuch", "nosuch"),
        ("kretprobe:vm1:__arm64_sys_kill+8", "is not the entry"),
    ] {
        let said = machine.command(&format!("link attach func_count {target}"))?;
        ensure!(said.contains("error: "), "{target}: {said}");
        ensure!(said.contains(complaint), "{target}: {said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn returns_are_told_apart_by_their_calls() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 4)?;
    counters::check(&mut machine).context("counters")?;
    check_sleeping(&mut machine).context("sleeping")?;
    check_never_returning(&mut machine).context("never returning")?;
    let symbols = load_module(&mut machine)?;
    check_nested(&mut machine, &symbols).context("nested")?;
    check_names(&mut machine).context("names")?;
    machine.shut_down()
}
