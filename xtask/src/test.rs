//! `cargo xtask test`.

mod nightly;
mod stage;

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use self::stage::{Outcome, Stage};
use crate::{
    a64::{self, Extent},
    build_image, build_programs,
    features::{ADAPTERS, FACADE, HOST},
    linux,
    process::say,
    tools::{self, Tool},
    workspace,
};

/// Runs all tests: those on the host, the shipped programs against their sources, and the hypervisor under QEMU.
///
/// Goes on after a failure, and ends with a summary.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests that need no hypervisor: no QEMU, no eBPF compilers.
    #[arg(long, conflicts_with = "el2")]
    host: bool,
    /// Only the tests of the hypervisor under QEMU.
    #[arg(long)]
    el2: bool,
}

/// The packages whose protocols loom explores, and the option that selects the tests that do.
const LOOM: [[&str; 2]; 3] = [
    ["axebpf-hit", "--test=loom"],
    ["axebpf-hprobe", "--test=loom"],
    ["axebpf-maps", "--lib"],
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut stages = Vec::new();
    if !args.el2 {
        host(&mut stages)?;
    }
    if !args.host && !args.el2 {
        stages.push(Stage::run(
            "instructions against a processor",
            &mut a64::tests(Extent::Short)?,
        ));
    }
    if !args.host {
        el2(
            &mut stages,
            if args.el2 {
                Programs::AsTheyAre
            } else {
                Programs::Check
            },
        )?;
    }
    summarise(&stages)
}

/// Prints what each stage came to, and fails if one failed.
fn summarise(stages: &[Stage]) -> Result<()> {
    println!();
    say("summary");
    for stage in stages {
        println!("    {stage}");
    }
    let failed: Vec<&str> = stages
        .iter()
        .filter(|stage| stage.outcome == Outcome::Failed)
        .map(Stage::name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    let not_run = stages
        .iter()
        .filter(|stage| stage.outcome == Outcome::NotRun);
    match not_run.count() {
        0 => println!("    all passed"),
        count => println!("    all that was run passed; {count} NOT RUN, for the reasons above"),
    }
    Ok(())
}

fn host(stages: &mut Vec<Stage>) -> Result<()> {
    tools::ensure(&Tool::TEST)?;
    let mut tests = cargo("nextest");
    tests.args(["run", "--no-fail-fast", "--features", HOST]);
    stages.push(Stage::run("host tests", &mut tests));
    let mut docs = cargo("test");
    docs.args(["--doc", "--no-fail-fast", "--features", HOST]);
    stages.push(Stage::run("examples in the docs", &mut docs));
    let mut adapters = cargo("nextest");
    adapters.args(["run", "-p", "axebpf-tp", "-p", "axebpf-ktracepoint-host"]);
    adapters.args(["--no-fail-fast", "--features", ADAPTERS]);
    stages.push(Stage::run(
        "adapters to other tracepoint crates",
        &mut adapters,
    ));
    for features in FACADE {
        let mut facade = cargo("test");
        facade.args([
            "-p",
            "axebpf",
            "--no-default-features",
            "--features",
            features,
        ]);
        let features = if features.is_empty() {
            "no features"
        } else {
            features
        };
        stages.push(Stage::run(format!("axebpf with {features}"), &mut facade));
    }
    for [package, tests] in LOOM {
        let mut loom = cargo("test");
        loom.args(["-p", package, "--release", tests]);
        loom.arg("--target-dir")
            .arg(workspace::target().join("loom"));
        loom.env("RUSTFLAGS", "--cfg loom");
        stages.push(Stage::run(format!("{package} under loom"), &mut loom));
    }
    nightly::run(stages);
    Ok(())
}

/// Whether the programs in the tree are compared with their sources.
#[derive(PartialEq, Eq)]
enum Programs {
    Check,
    AsTheyAre,
}

fn el2(stages: &mut Vec<Stage>, programs: Programs) -> Result<()> {
    tools::ensure(&Tool::RUN)?;
    tools::ensure(&Tool::TEST)?;
    if programs == Programs::Check {
        tools::ensure(&Tool::PROGRAMS)?;
        stages.push(Stage::call(
            "programs as in the tree",
            build_programs::check,
        ));
    }
    let image = match build_image::build() {
        Ok(image) => image,
        Err(error) => {
            stages.push(Stage::call("the hypervisor's image", || Err(error)));
            return Ok(());
        }
    };
    stages.push(Stage::run(
        "hypervisor at EL2 under QEMU",
        &mut on_target(&image),
    ));
    stages.push(linux(&image));
    Ok(())
}

/// Runs the tests with a Linux guest, where Debian's packages can be had.
fn linux(image: &Path) -> Stage {
    const NAME: &str = "Linux as a guest, and probes on it";
    if let Err(error) = linux::fetch() {
        return Stage::not_run(NAME, &format!("{error:#}").replace('\n', " "));
    }
    let files = match linux::prepare() {
        Ok(files) => files,
        Err(error) => return Stage::call(NAME, || Err(error)),
    };
    let mut tests = on_target(image);
    tests.args(["--test", "linux", "--run-ignored", "only"]);
    tests.env("AXEBPF_LINUX", files.folder());
    Stage::run(NAME, &mut tests)
}

/// Returns the command that runs the tests under QEMU.
fn on_target(image: &Path) -> Command {
    let mut tests = cargo("nextest");
    tests
        .args(["run", "-p", "axebpf-e2e", "--no-fail-fast"])
        .env("AXEBPF_IMAGE", image);
    // What failed stands in the machine's transcript, not in a backtrace of the test.
    tests.env("RUST_BACKTRACE", "0");
    tests
}

fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).arg(subcommand);
    cargo
}
