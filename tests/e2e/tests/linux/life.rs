//! Guests without probes.

use anyhow::Result;
use axebpf_e2e::Machine;

use crate::{
    PATIENCE, RESULTS, check_no_complaint, guest::wait_until_off, guest_lines, machine, shell,
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

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn cpus_go_and_come_back() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    let online = "/sys/devices/system/cpu/cpu1/online";
    let said = crate::in_guest(
        &mut machine,
        &format!("echo 0 > {online}; nproc; echo 1 > {online}; nproc"),
    )?;
    assert!(said.contains("vm1: 1\n"), "{said}");
    assert!(said.contains("CPU1: Booted secondary processor"), "{said}");
    assert!(said.contains("vm1: 2\n"), "{said}");
    check_no_complaint(&said);
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn what_a_muted_guest_says_is_kept() -> Result<()> {
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
    machine.shut_down()
}
