//! Fuzzing, for `cargo xtask soak` and, in short, `cargo xtask test`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    process::{output, run as run_command, say},
    tools::{self, Tool},
    workspace,
};

/// The target that takes objects, and where there are some.
const LOADER: &str = "loader";
const OBJECTS: &str = "crates/axebpf-vm/tests/objects";
const PRECOMPILED: &str = "crates/axebpf/precompiled";

/// The fuzz targets, and what runs them.
pub(crate) struct Fuzzer {
    toolchain: String,
    targets: Vec<String>,
}

/// Where inputs that do something new are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corpus {
    /// With those of earlier runs, which it starts from, too.
    Kept,
    /// Nowhere: it starts from the seeds in the tree.
    Seeds,
}

/// Returns the name of a nightly toolchain of rustup's, if there is one.
pub(crate) fn nightly() -> Option<String> {
    let list = output(Command::new("rustup").args(["toolchain", "list"])).ok()?;
    let mut names = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names
        .find(|name| name.starts_with("nightly"))
        .map(str::to_owned)
}

/// Returns cargo of a toolchain of rustup's, in the top folder.
pub(crate) fn cargo_of(toolchain: &str) -> Command {
    let mut cargo = Command::new("cargo");
    // The cargo that runs this program has chosen another.
    cargo
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .current_dir(workspace::root())
        .arg(format!("+{toolchain}"));
    cargo
}

impl Fuzzer {
    /// Finds the targets, and installs cargo-fuzz if it is missing.
    pub(crate) fn new() -> Result<Self> {
        let toolchain = nightly()
            .context("fuzzing needs a nightly compiler: `rustup toolchain install nightly`")?;
        tools::ensure(&Tool::FUZZ)?;
        Ok(Self {
            toolchain,
            targets: targets(&folder().join("fuzz_targets"))?,
        })
    }

    /// Returns the names of the targets.
    pub(crate) fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Builds all targets.
    pub(crate) fn build(&self) -> Result<()> {
        run_command(&mut self.cargo_fuzz("build"))
    }

    /// Fuzzes one target for so many seconds.
    pub(crate) fn run(&self, target: &str, seconds: u64, corpus: Corpus) -> Result<()> {
        say(format_args!("fuzzing {target} for {seconds} s"));
        let found = tempfile::tempdir()?;
        let kept = folder().join("corpus").join(target);
        let mut cargo = self.cargo_fuzz("run");
        cargo.arg(target);
        if corpus == Corpus::Kept {
            fs::create_dir_all(&kept)?;
            cargo.arg(kept);
        } else {
            cargo.arg(found.path());
        }
        cargo.args(seeds(target));
        cargo.args(["--", &format!("-max_total_time={seconds}")]);
        run_command(&mut cargo).context("an input that broke something is in fuzz/artifacts")
    }

    fn cargo_fuzz(&self, subcommand: &str) -> Command {
        let mut cargo = cargo_of(&self.toolchain);
        cargo.args(["fuzz", subcommand, "--target-dir"]);
        cargo.arg(workspace::target().join("fuzz"));
        cargo
    }
}

fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// Returns the folders of inputs in the tree that a target starts from.
fn seeds(target: &str) -> Vec<PathBuf> {
    let seeds = folder().join("seeds").join(target);
    let mut folders: Vec<PathBuf> = Some(seeds)
        .filter(|seeds| seeds.is_dir())
        .into_iter()
        .collect();
    if target == LOADER {
        folders.extend([OBJECTS, PRECOMPILED].map(PathBuf::from));
    }
    folders
}

/// Lists the fuzz targets by their files.
fn targets(folder: &Path) -> Result<Vec<String>> {
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
