//! Links to the kernel of a guest that starts, runs, and is started again elsewhere in its memory.

use anyhow::{Context, Result, bail, ensure};
use axebpf_e2e::{Machine, upload, upload_by};

use crate::{
    boot, check_no_complaint,
    guest::{KILLS, end, kernel_address, link_counts as counts},
    in_guest, machine, shell,
};

/// A CPU with an instruction for random numbers, from which the kernel takes where it runs.
const RANDOM: &str = "max,pauth-impdef=on";
/// Compares what it reads of the current task by the types of the guest's kernel with what the helpers say.
const TASK: &[u8] = include_bytes!("../../../../crates/axebpf/tests/objects/guest_task.bpf.o");

/// Waits until no link waits but those that wait for `reason`.
fn wait_until_armed(machine: &mut Machine, reason: &str) -> Result<()> {
    let mut list = String::new();
    for _ in 0..200 {
        list = machine.command("link list")?;
        let mut waiting = list.lines().filter(|line| line.contains(" waits: "));
        if waiting.all(|line| line.contains(reason)) {
            return Ok(());
        }
    }
    bail!("links wait:\n{list}")
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn links_follow_a_kernel_that_starts_elsewhere_each_time() -> Result<()> {
    let mut machine = machine(RANDOM, 2, 2, "rounds=0 then=shell")?;
    machine.command("prog load guest_func_latency")?;
    // Returns are seen from the second one on; the link with a plain trap waits until the guest runs programs.
    for target in [
        "kprobe:vm1:__arm64_sys_kill",
        "kretprobe:vm1:__arm64_sys_kill",
        "kprobe:vm1:__arm64_sys_pipe2+4 --mode brk",
        "kprobe:vm1:no_such_function",
    ] {
        let said = machine.command(&format!("link attach guest_func_entry {target}"))?;
        let waiting = "\nwaiting: the kernel of VM 1 does not run yet";
        ensure!(said.contains(waiting), "{said}");
    }
    let mut places = Vec::new();
    for round in 1..=3 {
        boot(&mut machine)?;
        wait_until_armed(&mut machine, "no function `no_such_function`")?;
        check_no_complaint(&in_guest(&mut machine, "/init work")?);
        assert_eq!(counts(&mut machine, "1")?, [round * KILLS, 0, 0]);
        let [returned, missed, errors] = counts(&mut machine, "2")?;
        assert_eq!((returned + missed, errors), (round * KILLS, 0));
        assert!(
            returned > round * KILLS / 2,
            "{returned} of {KILLS} returns"
        );
        let [pipes, ..] = counts(&mut machine, "3")?;
        assert_ne!(pipes, 0);
        places.push(kernel_address(&mut machine, "__arm64_sys_kill")?);
        end(&mut machine)?;
    }
    // Two of three places may be the same by chance, but not all.
    assert!(
        places[0] != places[1] || places[1] != places[2],
        "{places:?}"
    );
    machine.command("link detach all")?;
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn programs_read_tasks_by_the_types_of_the_guests_kernel() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    let said = upload(
        &mut machine,
        "guest_task",
        "--btf vm1 --attach",
        TASK,
        |_| {},
    )?;
    ensure!(said.contains("guest_task"), "{said}");
    let shell = in_guest(&mut machine, "echo shell-$$")?;
    let (_, shell) = shell.rsplit_once("vm1: shell-").context("no number")?;
    let shell: u64 = shell.lines().next().unwrap_or_default().trim().parse()?;
    for _ in 0..3 {
        in_guest(&mut machine, "/bin/uname -r")?;
    }
    let dump = machine.command("map dump tasks")?;
    let words: Vec<Vec<&str>> = dump
        .lines()
        .map(|line| {
            line.split([' ', ','])
                .filter(|word| !word.is_empty())
                .collect()
        })
        .collect();
    let value = |key: &str| words.iter().find(|row| row[0] == key).map(|row| row[1]);
    assert_eq!(value("0"), Some("3"), "{dump}");
    assert_ne!(value("1").unwrap_or("0"), "3", "{dump}");
    assert_eq!(value("2"), Some(shell.to_string().as_str()), "{dump}");
    // What the task executes was read by the helper of each half, and by none of the other one's.
    assert_eq!(value("3"), Some("3"), "{dump}");
    assert_eq!(value("4").unwrap_or("0"), "0", "{dump}");
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn returns_are_all_seen_once_their_place_is_armed() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    machine.command("prog load guest_func_latency")?;
    machine.command("link attach guest_func_entry kprobe:vm1:__arm64_sys_kill")?;
    let said = machine.command("link attach guest_func_return kretprobe:vm1:__arm64_sys_kill")?;
    assert!(
        said.contains("the first calls to return to a place are missed"),
        "{said}"
    );
    in_guest(&mut machine, "/init work")?;
    let [first, missed, _] = counts(&mut machine, "2")?;
    assert_eq!(first + missed, KILLS);
    in_guest(&mut machine, "/init work")?;
    assert_eq!(counts(&mut machine, "1")?, [2 * KILLS, 0, 0]);
    assert_eq!(counts(&mut machine, "2")?, [first + KILLS, missed, 0]);
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn filters_and_globs_choose_what_programs_see() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    machine.command("prog load func_count")?;
    let attach = "link attach func_count";
    // The registers of who calls are in the kernel's memory.
    machine.command(&format!(
        "{attach} kprobe:vm1:__arm64_sys_kill if x0 > 0xffff000000000000"
    ))?;
    machine.command(&format!(
        "{attach} kprobe:vm1:__arm64_sys_kill if vm_id != 1"
    ))?;
    // One signal of the workload is sent in each call, so each returns 0.
    machine.command(&format!(
        "{attach} kretprobe:vm1:__arm64_sys_kill if ret != 0"
    ))?;
    let said = machine.command(&format!("{attach} kprobe:vm1:vfs_*"))?;
    assert!(said.contains(" functions, "), "{said}");
    assert!(said.contains("\n  without vfs_"), "{said}");
    check_no_complaint(&in_guest(&mut machine, "/init work")?);
    assert_eq!(counts(&mut machine, "1")?, [KILLS, 0, 0]);
    assert_eq!(counts(&mut machine, "2")?, [0, 0, 0]);
    assert_eq!(counts(&mut machine, "3")?[0], 0);
    let [files, ..] = counts(&mut machine, "4")?;
    assert!(files > 100, "{files}");
    machine.command("link detach all")?;
    check_no_complaint(&in_guest(&mut machine, "/init work")?);
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn call_chains_are_those_of_the_guest() -> Result<()> {
    for cpu in ["cortex-a72", RANDOM] {
        let mut machine = shell(cpu, 2, 1)?;
        machine.command("prog load stack_count")?;
        machine.command("link attach stack_count kprobe:vm1:vfs_read")?;
        in_guest(&mut machine, "cat /proc/version")?;
        let dump = machine.command("map dump stacks")?;
        for caller in ["vfs_read", "ksys_read+", "__arm64_sys_read+", "el0_svc+"] {
            assert!(dump.contains(caller), "{cpu}: no {caller} in\n{dump}");
        }
        machine.shut_down()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn symbols_come_over_the_console_too() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    machine.command("prog load func_count")?;
    let kill = kernel_address(&mut machine, "__arm64_sys_kill")?;
    // Names that the kernel does not have: somebody has to say where they are.
    let text = format!("{kill:016x} T kill\n{kill:016x} t deadly\t[weapons]\n");
    let command = "vm syms 1 --upload --slide 0";
    let said = upload_by(&mut machine, command, text.as_bytes(), |_| {})?;
    ensure!(
        said.contains("vm 1: 2 symbols") && said.contains("its tasks are known"),
        "{said}"
    );
    machine.command("link attach func_count kprobe:vm1:weapons:deadly")?;
    let linked = kill - 0x4000_0000;
    let map = format!("{linked:016x} T kill\n");
    let said = upload_by(&mut machine, "vm syms 1 --upload", map.as_bytes(), |_| {})?;
    ensure!(said.contains("where the kernel of VM 1 runs"), "{said}");
    ensure!(said.contains("--slide BYTES"), "{said}");
    upload_by(&mut machine, command, map.as_bytes(), |_| {})?;
    let said = machine.command("link attach func_count kprobe:vm1:kill")?;
    ensure!(
        said.contains("the symbols do not fit the kernel that runs in VM 1"),
        "{said}"
    );
    let command = "vm syms 1 --upload --slide 0x40000000";
    upload_by(&mut machine, command, map.as_bytes(), |_| {})?;
    machine.command("link attach func_count kprobe:vm1:kill")?;
    in_guest(&mut machine, "/init work")?;
    assert_eq!(counts(&mut machine, "1")?, [KILLS, 0, 0]);
    assert_eq!(counts(&mut machine, "3")?, [KILLS, 0, 0]);
    machine.shut_down()
}
