//! `cargo xtask soak`.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axebpf_e2e::{Machine, Options};

use crate::{
    build_image,
    process::{find_program, run as run_command, say},
    tools::{self, Tool},
    workspace,
};

/// Runs what takes long: fuzzing, and loading, attaching and detaching on a busy hypervisor over and over.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each part takes, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only fuzz.
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

/// Fuzzes every target of every crate.
fn fuzz(seconds: u64) -> Result<()> {
    let targets = fuzz_targets()?;
    if targets.is_empty() {
        bail!("no crate has fuzz targets");
    }
    if find_program("cargo-fuzz").is_none() {
        say("missing: cargo-fuzz");
        run_command(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]))?;
    }
    for (folder, target) in targets {
        say(format_args!("fuzzing {target} for {seconds} s"));
        let mut cargo = Command::new("cargo");
        // libFuzzer's instrumentation is a nightly compiler's.
        cargo
            .args(["+nightly", "fuzz", "run", "--fuzz-dir"])
            .arg(&folder)
            .arg(&target);
        cargo.args(["--", &format!("-max_total_time={seconds}")]);
        run_command(&mut cargo).context(
            "fuzzing needs a nightly compiler: `rustup toolchain install nightly`; \
             an input that broke something is in the folder `artifacts`",
        )?;
    }
    Ok(())
}

/// Lists the fuzz targets: the folder of each fuzzing crate, and the name in it.
fn fuzz_targets() -> Result<Vec<(PathBuf, String)>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(workspace::root().join("crates"))? {
        let folder = entry?.path().join("fuzz");
        let Ok(files) = fs::read_dir(folder.join("fuzz_targets")) else {
            continue;
        };
        for file in files {
            let name = file?.file_name().to_string_lossy().into_owned();
            targets.extend(
                name.strip_suffix(".rs")
                    .map(|name| (folder.clone(), name.to_owned())),
            );
        }
    }
    targets.sort();
    Ok(targets)
}
