//! `cargo xtask setup`.

use anyhow::Result;

use crate::{
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
    let all: Vec<Tool> = [
        &Tool::PROGRAMS[..],
        &Tool::IMAGE,
        &Tool::RUN,
        &Tool::TEST,
        &Tool::LINT,
    ]
    .concat();
    say("checking the tools");
    if !args.check {
        tools::ensure(&all)?;
    }
    let mut shown: Vec<Tool> = Vec::new();
    for tool in all {
        if shown.contains(&tool) {
            continue;
        }
        shown.push(tool);
        let path = tool.path()?;
        println!(
            "    {:<55} {:<9} {}",
            tool.description(),
            tool.version()?,
            path.display()
        );
    }
    say("everything is there; go on with `cargo xtask demo` or `cargo xtask test`");
    Ok(())
}
