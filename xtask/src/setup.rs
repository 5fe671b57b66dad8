//! `cargo xtask setup`.

use anyhow::{Result, bail};

use crate::{
    fuzz,
    process::say,
    tools::{self, Tool},
};

/// Checks the tools that building and testing need, and installs what is missing.
///
/// As root on Debian it installs packages with apt-get; otherwise it prints the command that would. All other commands
/// do the same for the tools that they need, so nobody has to run this one first.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tell what is there, and fail when something is missing.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let all = all();
    say("checking the tools");
    if !args.check {
        tools::ensure(&all)?;
    }
    let mut missing = 0;
    for tool in all {
        let Ok(path) = tool.path() else {
            missing += 1;
            println!("    {:<55} MISSING", tool.description());
            continue;
        };
        println!(
            "    {:<55} {:<9} {}",
            tool.description(),
            tool.version()?,
            path.display()
        );
    }
    if missing != 0 {
        bail!("{missing} tools are missing; `cargo xtask setup` installs them");
    }
    say("everything is there; go on with `cargo xtask demo` or `cargo xtask test`");
    Ok(())
}

/// Returns all tools, once each. Those that need a nightly compiler are of no use without one.
fn all() -> Vec<Tool> {
    let groups = [
        &Tool::PROGRAMS[..],
        &Tool::IMAGE,
        &Tool::RUN,
        &Tool::TEST,
        &Tool::INSTRUCTIONS,
        &Tool::LINT,
    ];
    let mut all: Vec<Tool> = Vec::new();
    for tool in groups.concat() {
        if !all.contains(&tool) {
            all.push(tool);
        }
    }
    match fuzz::nightly() {
        Some(_) => all.extend(Tool::FUZZ),
        None => println!(
            "    no nightly compiler, so nothing can be fuzzed (`rustup toolchain install nightly`)"
        ),
    }
    all
}
