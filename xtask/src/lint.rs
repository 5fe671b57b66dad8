//! `cargo xtask lint`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    features::{ADAPTERS, FACADE, HOST},
    process::{run as run_command, say},
    workspace,
};

/// Checks the format, clippy's lints and the documentation of everything that builds on the host.
///
/// Warnings are errors. What only the bare machine compiles, `check-bare-metal` checks.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// What does not build on the host.
const BARE_METAL: [&str; 5] = [
    "--workspace",
    "--exclude",
    "axebpf-testbed",
    "--exclude",
    "axebpf-guest",
];

pub(crate) fn run(_args: &Args) -> Result<()> {
    format()?;
    say("linting");
    let mut clippy = cargo("clippy");
    clippy
        .args(BARE_METAL)
        .args(["--all-targets", "--features", HOST, "--features", ADAPTERS]);
    run_command(clippy.args(["--", "-D", "warnings"]))?;
    for features in FACADE {
        say(format_args!(
            "linting axebpf with the features \"{features}\""
        ));
        let mut clippy = cargo("clippy");
        clippy.args(["-p", "axebpf", "--all-targets", "--no-default-features"]);
        run_command(clippy.args(["--features", features, "--", "-D", "warnings"]))?;
    }
    say("documenting");
    let mut doc = cargo("doc");
    doc.args(BARE_METAL)
        .args(["--no-deps", "--features", HOST, "--features", ADAPTERS]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn format() -> Result<()> {
    say("checking the format");
    run_command(cargo("fmt").args(["--all", "--check"]))
        .context("`cargo fmt --all` formats the workspace")?;
    let programs = workspace::programs().join("rust");
    run_command(
        cargo("fmt")
            .args(["--all", "--check"])
            .current_dir(programs),
    )
    .context("`cargo fmt --all` in ebpf-programs/rust formats the eBPF programs")
}

fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).arg(subcommand);
    cargo
}
