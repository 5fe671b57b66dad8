//! `cargo xtask check-bare-metal`.

use std::process::Command;

use anyhow::Result;

use crate::{
    process::{run as run_command, say},
    toolchain::{BARE_METAL, FOREIGN},
    tools::{self, Tool},
    workspace,
};

/// Builds and lints everything that runs on the bare machine, for which the host's compiler sees no code.
///
/// That is the libraries with all features, `axhal` in a build of its own because it needs unstable Rust, the testbed
/// and its guest; and the probes of riscv64 and loongarch64. Warnings are errors.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// What the libraries are built with.
const LIBRARIES: [&str; 6] = [
    "-p",
    "axebpf",
    "-p",
    "axebpf-tp",
    "--features",
    "axebpf/precompiled-ebpf,axebpf/guest-kprobe,axebpf-tp/twins",
];

/// The one combination with the platform on ax-hal.
const AXHAL: [&str; 4] = [
    "-p",
    "axebpf",
    "--features",
    "precompiled-ebpf,guest-kprobe,axhal",
];

/// The probes of other architectures than aarch64.
const FOREIGN_PROBES: [&str; 4] = ["-p", "axebpf-hprobe", "--features", "kprobe"];

pub(crate) fn run(_args: &Args) -> Result<()> {
    tools::ensure(&Tool::IMAGE)?;
    tools::ensure(&[Tool::BareMetalClippy])?;
    say("building the libraries");
    run_command(cargo("build", BARE_METAL)?.args(LIBRARIES).arg("--release"))?;
    say("linting the libraries");
    lint(&LIBRARIES)?;
    say("linting the libraries on ax-hal");
    lint(&AXHAL)?;
    say("linting the testbed and its guest");
    // Apart: both need the same crate with features that exclude each other.
    lint(&["-p", "axebpf-testbed"])?;
    lint(&["-p", "axebpf-guest"])?;
    for target in FOREIGN {
        say(format!("linting the probes of {target}"));
        lint_for(target, &FOREIGN_PROBES)?;
    }
    Ok(())
}

/// Lints the selected packages, and fails on a warning in the crates of this workspace.
fn lint(select: &[&str]) -> Result<()> {
    lint_for(BARE_METAL, select)
}

/// Does so for `target`.
fn lint_for(target: &'static str, select: &[&str]) -> Result<()> {
    let mut clippy = cargo("clippy", target)?;
    run_command(clippy.args(select).args(["--", "-D", "warnings"]))
}

fn cargo(subcommand: &str, target: &'static str) -> Result<Command> {
    let mut cargo = tools::toolchain(target)?.cargo(subcommand);
    cargo.current_dir(workspace::root()).arg("--locked");
    cargo
        .arg("--target-dir")
        .arg(workspace::target().join("bare-metal"));
    cargo.env(
        "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER",
        Tool::Lld.path()?,
    );
    Ok(cargo)
}
