//! `cargo xtask soak`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axebpf_e2e::{Machine, Options};

use crate::{
    a64::{self, Extent},
    build_image,
    fuzz::{Corpus, Fuzzer},
    process::say,
    tools::{self, Tool},
};

/// Runs what takes long: comparing instructions with a processor, fuzzing, and loading, attaching and detaching on a
/// busy hypervisor over and over.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each part takes, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only what needs no hypervisor: instructions and fuzzing.
    #[arg(long, conflicts_with = "el2")]
    fuzz: bool,
    /// Only the hypervisor.
    #[arg(long)]
    el2: bool,
}

/// What is done over and over, all while the guest runs on both CPUs.
const ROUND: [&str; 11] = [
    "trace enable vmm:*",
    "prog load exit_count --attach",
    "prog load exit_latency --attach",
    "prog load events --attach",
    "trace stat",
    "map dump exits",
    "link list",
    "trace disable vmm:*",
    "prog unload exit_count --force",
    "prog unload exit_latency --force",
    "prog unload events --force",
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let time = Duration::from_secs(args.seconds);
    if !args.fuzz {
        stress(time)?;
    }
    if !args.el2 {
        a64::compare(Extent::Full)?;
        fuzz(args.seconds)?;
    }
    say("nothing broke");
    Ok(())
}

fn stress(time: Duration) -> Result<()> {
    tools::ensure(&Tool::RUN)?;
    let image = build_image::build()?;
    say(format_args!(
        "loading, attaching and detaching on a busy hypervisor for {time:?}"
    ));
    let mut machine = Machine::boot(&image, &Options::default())?;
    let started = Instant::now();
    let mut rounds = 0;
    while started.elapsed() < time {
        for command in ROUND {
            let output = machine.command(command)?;
            ensure!(
                !output.contains("error"),
                "round {rounds}: `{command}` said\n{output}"
            );
        }
        rounds += 1;
    }
    let vms = machine.command("vm list")?;
    ensure!(
        vms.contains("running"),
        "the VM does not run any more:\n{vms}"
    );
    machine.shut_down()?;
    println!("    {rounds} rounds of {} commands", ROUND.len());
    Ok(())
}

/// Fuzzes every target, from its seeds and from what earlier runs found.
fn fuzz(seconds: u64) -> Result<()> {
    let fuzzer = Fuzzer::new()?;
    fuzzer.build()?;
    for target in fuzzer.targets() {
        fuzzer.run(target, seconds, Corpus::Kept)?;
    }
    Ok(())
}
