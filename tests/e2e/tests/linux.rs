//! An unmodified Debian kernel as the guest: it reaches user space, and its workload computes what it always computes.
//!
//! Needs the files that `cargo xtask linux --prepare` makes; `cargo xtask test` makes them and runs these tests.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Linux, Machine, Options, Start, image_path};

/// What the workload prints in each run, on however many vCPUs.
const RESULTS: [&str; 5] = [
    "workload: processes 120 0x7a02bb67be5e3d17 ok",
    "workload: pipes 1048576 0x6647ce5be8604381 ok",
    "workload: files 24 0xfce0606950890c28 ok",
    "workload: signals 2500 0x0e5cd407ba2994c1 ok",
    "workload: checksums 4 0x2be14d6a87297451 ok",
];

/// How long a guest may take for what takes a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns where the files are.
fn folder() -> Result<PathBuf> {
    let folder = env::var_os("AXEBPF_LINUX").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/linux"),
        PathBuf::from,
    );
    ensure!(
        folder.join("initramfs.cpio").is_file(),
        "no guest in {}; `cargo xtask linux --prepare` makes one",
        folder.display()
    );
    Ok(folder)
}

/// Starts a machine whose guest waits to be booted.
fn machine(cpu: &str, cpus: u32, vcpus: u32, then: &str) -> Result<Machine> {
    let folder = folder()?;
    let linux = Linux {
        kernel: folder.join("Image"),
        initrd: folder.join("initramfs.cpio"),
        vcpus,
        memory: 256,
        arguments: format!("console=ttyAMA0 earlycon=pl011,0x9000000 panic=-1 {then}"),
        start: Start::ByCommand,
    };
    // A comma would end the file's name on QEMU's command line.
    let name = format!("axebpf-{cpu}-{cpus}-{vcpus}-{then}").replace([',', ' '], "-");
    let payload = linux.payload(&env::temp_dir().join(name))?;
    let options = Options {
        cpu: cpu.into(),
        cpus,
        payload: Some(payload),
        timeout: PATIENCE,
        ..Options::default()
    };
    Machine::boot(&image_path()?, &options)
}

/// Boots the guest of `machine` and checks what its workload says until it switches itself off.
fn check_one_life(machine: &mut Machine, vcpus: u32) -> Result<()> {
    machine.send_line("vm boot 1")?;
    let said = machine.expect("reboot: Power down", PATIENCE)?;
    let up = format!("smp: Brought up 1 node, {vcpus} CPU");
    assert!(said.contains(&up), "{said}");
    let results: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("vm1: "))
        .filter(|line| line.starts_with("workload: "))
        .collect();
    assert_eq!(results, RESULTS);
    assert!(
        said.contains("vm1: init: round 1 ended with exit code 0\n"),
        "{said}"
    );
    for bad in ["Call trace", "WARNING:", "BUG:", "unhandled"] {
        assert!(!said.contains(bad), "{said}");
    }
    wait_until_off(machine)
}

fn wait_until_off(machine: &mut Machine) -> Result<()> {
    for _ in 0..100 {
        if machine.command("vm list")?.contains("stopped") {
            return Ok(());
        }
    }
    anyhow::bail!("the VM does not stop")
}

fn check(cpu: &str, cpus: u32, vcpus: u32) -> Result<()> {
    let mut machine = machine(cpu, cpus, vcpus, "then=off")?;
    check_one_life(&mut machine, vcpus)
        .with_context(|| format!("{vcpus} vCPUs on {cpus} {cpu}"))?;
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn linux_runs_on_one_vcpu() -> Result<()> {
    check("cortex-a72", 1, 1)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn linux_runs_on_two_vcpus() -> Result<()> {
    check("cortex-a72", 2, 2)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn linux_runs_on_four_vcpus_that_share_two_cpus() -> Result<()> {
    check("cortex-a72", 2, 4)
}

/// Pointers are signed with a fast algorithm of QEMU's own: the standard one takes most of the emulated time.
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn linux_runs_on_a_cpu_with_all_extensions() -> Result<()> {
    check("max,pauth-impdef=on", 2, 2)
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
fn the_guests_shell_answers() -> Result<()> {
    let mut machine = machine("cortex-a72", 2, 2, "rounds=0 then=shell")?;
    machine.send_line("vm boot 1")?;
    machine.expect("init: workload passed", PATIENCE)?;
    machine.command("vm mute 1")?;
    machine.command(
        "vm type 1 echo sum $((40 + 2)); echo 0 > /sys/devices/system/cpu/cpu1/online; nproc",
    )?;
    let mut log = String::new();
    for _ in 0..200 {
        log = machine.command("vm log 1")?;
        if log.contains("\n1\n") {
            break;
        }
    }
    assert!(log.contains("sum 42"), "{log}");
    assert!(
        log.contains("CPU1: shutdown") || log.contains("psci: CPU1 killed"),
        "{log}"
    );
    machine.command("vm shutdown 1")?;
    machine.shut_down()
}
