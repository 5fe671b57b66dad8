//! `cargo xtask soak`.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
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

/// Fuzzes every target, from its seeds and from what earlier runs found.
fn fuzz(seconds: u64) -> Result<()> {
    let folder = workspace::root().join("fuzz");
    let targets = fuzz_targets(&folder.join("fuzz_targets"))?;
    if find_program("cargo-fuzz").is_none() {
        say("missing: cargo-fuzz");
        run_command(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]))?;
    }
    for target in targets {
        say(format_args!("fuzzing {target} for {seconds} s"));
        let corpus = folder.join("corpus").join(&target);
        fs::create_dir_all(&corpus)?;
        let mut cargo = Command::new("cargo");
        // libFuzzer's instrumentation is a nightly compiler's. The cargo that runs this program has chosen another.
        cargo
            .env_remove("RUSTUP_TOOLCHAIN")
            .current_dir(workspace::root());
        cargo.args(["+nightly", "fuzz", "run", &target]).arg(corpus);
        let seeds = folder.join("seeds").join(&target);
        cargo.args(Some(seeds).filter(|seeds| seeds.is_dir()));
        if target == LOADER {
            cargo.args([OBJECTS, PRECOMPILED]);
        }
        cargo.args(["--", &format!("-max_total_time={seconds}")]);
        run_command(&mut cargo).context(
            "fuzzing needs a nightly compiler: `rustup toolchain install nightly`; \
             an input that broke something is in fuzz/artifacts",
        )?;
    }
    Ok(())
}

/// The target that takes objects, and where there are some.
const LOADER: &str = "loader";
const OBJECTS: &str = "crates/axebpf-vm/tests/objects";
const PRECOMPILED: &str = "crates/axebpf/precompiled";

/// Lists the fuzz targets by their files.
fn fuzz_targets(folder: &Path) -> Result<Vec<String>> {
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut targets = Vec::new();
    for file in files {
        let name = file?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    targets.sort();
    ensure!(
        !targets.is_empty(),
        "there are no fuzz targets in {}",
        folder.display()
    );
    Ok(targets)
}
