//! How guests begin and end, and their CPUs, with and without probes.

use anyhow::{Context, Result};
use axebpf_e2e::Machine;

use crate::{
    PATIENCE, RESULTS, boot, check_no_complaint,
    guest::{
        Counts, KILLS, MODES, attach, check_workload, counts, detach_all, kernel_messages,
        wait_until_off,
    },
    guest_lines, in_guest, machine, shell,
};

/// Boots the guest of `machine` and checks what its workload says until it switches itself off.
fn check_one_life(machine: &mut Machine, vcpus: u32) -> Result<()> {
    machine.send_line("vm boot 1")?;
    let said = machine.expect("reboot: Power down", PATIENCE)?;
    let up = format!("smp: Brought up 1 node, {vcpus} CPU");
    assert!(said.contains(&up), "{said}");
    assert_eq!(guest_lines(&said, "workload: "), RESULTS);
    assert!(
        said.contains("vm1: init: round 1 ended with exit code 0\n"),
        "{said}"
    );
    check_no_complaint(&said);
    wait_until_off(machine)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn linux_boots_again_after_it_was_off() -> Result<()> {
    let mut machine = machine("cortex-a72", 2, 2, "then=off")?;
    check_one_life(&mut machine, 2)?;
    check_one_life(&mut machine, 2)?;
    machine.shut_down()
}

/// Has the guest switch its second CPU off and on again.
fn check_hotplug(machine: &mut Machine) -> Result<()> {
    let online = "/sys/devices/system/cpu/cpu1/online";
    let said = in_guest(
        machine,
        &format!("echo 0 > {online}; nproc; echo 1 > {online}; nproc"),
    )?;
    assert!(said.contains("vm1: 1\n"), "{said}");
    assert!(said.contains("vm1: 2\n"), "{said}");
    let said = kernel_messages(machine)?;
    assert!(said.contains("CPU1: Booted secondary processor"), "{said}");
    check_no_complaint(&said);
    Ok(())
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn cpus_go_and_come_back_with_and_without_probes() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    check_hotplug(&mut machine)?;
    for mode in MODES {
        // The second is what a CPU that comes runs, the third what one that goes runs.
        let kill = attach(&mut machine, &format!("__arm64_sys_kill {mode}"))?;
        let comes = attach(&mut machine, &format!("secondary_start_kernel {mode}"))?;
        let goes = attach(&mut machine, &format!("cpu_die {mode}"))?;
        check_hotplug(&mut machine).context(mode)?;
        check_workload(&mut machine).context(mode)?;
        assert_eq!(counts(&mut machine, kill)?, Counts::all_of(KILLS), "{mode}");
        for link in [comes, goes] {
            assert_eq!(counts(&mut machine, link)?, Counts::all_of(1), "{mode}");
        }
        detach_all(&mut machine)?;
    }
    machine.shut_down()
}

/// The guest ends itself in each of the ways that it has, with probes in all modes, and is started again.
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_guest_that_restarts_itself_starts_without_traps() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for end in [
        "reboot -f",
        "echo b > /proc/sysrq-trigger",
        "echo c > /proc/sysrq-trigger",
    ] {
        let kill = attach(&mut machine, "__arm64_sys_kill")?;
        for probe in [
            "schedule brk",
            "ret:vfs_read hvc",
            "handle_mm_fault stage2-fault",
        ] {
            attach(&mut machine, probe)?;
        }
        check_workload(&mut machine).context(end)?;
        assert_eq!(counts(&mut machine, kill)?, Counts::all_of(KILLS), "{end}");
        machine.send_line(&format!("vm type 1 {end}"))?;
        wait_until_off(&mut machine).context(end)?;
        boot(&mut machine)?;
        check_workload(&mut machine).context(end)?;
        detach_all(&mut machine)?;
    }
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn what_a_muted_guest_says_is_kept_and_harmless() -> Result<()> {
    let mut machine = shell("cortex-a72", 1, 1)?;
    machine.command("vm mute 1")?;
    let echoed = machine.command("vm type 1 echo sum $((40 + 2))")?;
    let mut log = String::new();
    for _ in 0..200 {
        log = machine.command("vm log 1")?;
        if log.contains("\nsum 42\n") {
            break;
        }
    }
    assert!(log.contains("\nsum 42\n"), "{log}");
    assert!(!echoed.contains("sum 42"), "{echoed}");
    machine.command("vm show 1")?;
    in_guest(&mut machine, r"printf '\033[31mred\033[0m\302\233\n'")?;
    let log = machine.command("vm log 1")?;
    assert!(log.contains("\n?[31mred?[0m??\n"), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
    machine.shut_down()
}
