//! `cargo xtask test`.

mod el2;
mod host;
mod nightly;
mod stage;

use std::process::Command;

use anyhow::{Result, bail};

use self::stage::{Outcome, Stage};
use crate::{
    a64::{self, Extent},
    build_programs,
    process::say,
    tools::{self, Tool},
    workspace,
};

/// Runs all tests: those on the host, the shipped programs against their sources, and the hypervisor under QEMU.
///
/// Ends at once where a tool is missing and cannot be installed. Goes on after a failure, and ends with a summary,
/// which names what was not run: what needs a nightly compiler, without one, and a Linux guest, where apt cannot get
/// Debian's kernel.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests that need no hypervisor: no QEMU, no eBPF compilers.
    #[arg(long, conflicts_with = "el2")]
    host: bool,
    /// Only the tests of the hypervisor under QEMU.
    #[arg(long)]
    el2: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure(&needed(args))?;
    let mut stages = Vec::new();
    if !args.el2 {
        host::run(&mut stages);
    }
    if !args.host && !args.el2 {
        stages.push(match a64::tests(Extent::Short) {
            Ok(mut tests) => Stage::run(INSTRUCTIONS, &mut tests),
            Err(error) => Stage::call(INSTRUCTIONS, || Err(error)),
        });
        stages.push(Stage::call(
            "programs as in the tree",
            build_programs::check,
        ));
    }
    if !args.host {
        el2::run(&mut stages);
    }
    summarise(&stages)
}

const INSTRUCTIONS: &str = "instructions against a processor";

/// Returns the tools without which a stage could not be run.
fn needed(args: &Args) -> Vec<Tool> {
    let mut tools = Tool::TEST.to_vec();
    if !args.host {
        tools.extend(Tool::RUN);
        tools.extend(Tool::IMAGE);
        // Linux's first file system is made with these, too.
        tools.push(Tool::Clang);
    }
    if !args.host && !args.el2 {
        tools.extend(Tool::PROGRAMS);
        tools.extend(Tool::INSTRUCTIONS);
    }
    tools
}

/// Prints what each stage came to, and last of all what was not run; fails if a stage failed.
fn summarise(stages: &[Stage]) -> Result<()> {
    println!();
    say("summary");
    for stage in stages {
        println!("    {stage}");
    }
    let names = |wanted: fn(&Outcome) -> bool| {
        let stages = stages.iter().filter(|stage| wanted(stage.outcome()));
        stages.map(Stage::name).collect::<Vec<_>>().join("; ")
    };
    let not_run = names(|outcome| matches!(outcome, Outcome::NotRun { .. }));
    let failed = names(|outcome| *outcome == Outcome::Failed);
    match (failed.as_str(), not_run.as_str()) {
        ("", "") => say("all passed"),
        ("", not_run) => say(format_args!(
            "all that was run passed, but NOT RUN, for the reasons above: {not_run}"
        )),
        (failed, "") => bail!("failed: {failed}"),
        (failed, not_run) => bail!("failed: {failed}\nNOT RUN: {not_run}"),
    }
    Ok(())
}

fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).arg(subcommand);
    cargo
}
