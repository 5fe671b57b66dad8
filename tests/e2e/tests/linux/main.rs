//! An unmodified Debian kernel as the guest: it reaches user space, its workload computes what it always computes, and
//! probes on its kernel change nothing and count what it does.
//!
//! Needs the files that `cargo xtask linux --prepare` makes; `cargo xtask test` makes them and runs these tests.

mod complaints;
mod counters;
mod counts;
mod debugging;
mod displaced;
mod guest;
mod life;
mod links;
mod matrix;
mod placement;
mod probes;
mod programs;
mod random;
mod returns;
mod tracing;
mod translation;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use axebpf_e2e::{Linux, Machine, Options, Start, image_path};

/// What the workload prints in each run, on however many vCPUs and under whatever probes.
const RESULTS: [&str; 5] = [
    "workload: processes 120 0x7a02bb67be5e3d17 ok",
    "workload: pipes 1048576 0x6647ce5be8604381 ok",
    "workload: files 24 0xfce0606950890c28 ok",
    "workload: signals 2500 0x0e5cd407ba2994c1 ok",
    "workload: checksums 4 0x2be14d6a87297451 ok",
];

/// How long a guest may take for what takes a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the files are.
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

/// Starts a machine whose guest waits to be booted; `then` is for its init.
fn machine(cpu: &str, cpus: u32, vcpus: u32, then: &str) -> Result<Machine> {
    seeded_machine(cpu, cpus, vcpus, then, None)
}

/// Starts a machine whose guest waits to be booted, and takes where it runs from `seed`.
fn seeded_machine(
    cpu: &str,
    cpus: u32,
    vcpus: u32,
    then: &str,
    seed: Option<u64>,
) -> Result<Machine> {
    let folder = folder()?;
    let linux = Linux {
        kernel: folder.join("Image"),
        initrd: folder.join("initramfs.cpio"),
        vcpus,
        memory: 256,
        arguments: format!("console=ttyAMA0 earlycon=pl011,0x9000000 panic=-1 {then}"),
        seed,
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

/// Starts a machine and boots its guest up to the shell.
fn shell(cpu: &str, cpus: u32, vcpus: u32) -> Result<Machine> {
    let mut machine = machine(cpu, cpus, vcpus, "rounds=0 then=shell")?;
    let said = boot(&mut machine)?;
    let up = format!("smp: Brought up 1 node, {vcpus} CPU");
    assert!(said.contains(&up), "{said}");
    Ok(machine)
}

/// Boots the guest up to its shell, checks that it complains of nothing, and returns what it says.
///
/// From then on its kernel says nothing on the console, where that would come in between.
fn boot(machine: &mut Machine) -> Result<String> {
    machine.send_line("vm boot 1")?;
    let said = machine.expect("built-in shell (ash)", PATIENCE)?;
    check_no_complaint(&said);
    guest::silence_kernel(machine)?;
    guest::kernel_messages(machine)?;
    Ok(said)
}

/// Types `command` at the guest's shell and returns what appears until it has ended, which has to be with exit code 0.
fn in_guest(machine: &mut Machine, command: &str) -> Result<String> {
    machine.send_line(&format!("vm type 1 {command}; echo ended-$?"))?;
    let mut said = String::new();
    while said.is_empty() || said.ends_with("ended-$?\n") {
        // What was typed comes back first, perhaps broken into lines at just that place.
        said += &machine.expect("vm1: ended-", PATIENCE)?;
        said += &machine.expect("\n", PATIENCE)?;
    }
    ensure!(said.ends_with("ended-0\n"), "`{command}` failed:\n{said}");
    Ok(said)
}

/// Returns the lines of the guest that begin with `prefix`.
fn guest_lines<'a>(said: &'a str, prefix: &str) -> Vec<&'a str> {
    // A line can begin behind the hypervisor's prompt.
    said.lines()
        .filter_map(|line| Some(line.split_once("vm1: ")?.1))
        .filter(|line| line.starts_with(prefix))
        .collect()
}

/// Checks that nothing in `said` is a complaint of the kernel or of the hypervisor.
#[track_caller]
fn check_no_complaint(said: &str) {
    for complaint in ["Call trace", "WARNING:", "BUG:", "unhandled", "error:"] {
        assert!(!said.contains(complaint), "{said}");
    }
}
