//! The A64 decoder and simulator against a processor: `tests/a64-diff`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    process::run,
    tools::{self, Tool},
    workspace,
};

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A few thousand cases of each class of instructions: half a minute.
    Short,
    /// A hundred thousand, and every word there is: some minutes.
    Full,
}

/// Builds what executes single instructions, and returns the command that compares with it.
///
/// # Errors
///
/// When a tool is missing and cannot be installed, or the oracle cannot be built.
pub(crate) fn tests(extent: Extent) -> Result<Command> {
    tools::ensure(&Tool::INSTRUCTIONS)?;
    tools::ensure(&Tool::TEST)?;
    let mut tests = Command::new("cargo");
    tests.current_dir(workspace::root());
    tests.args(["nextest", "run", "--release", "-p", "axebpf-a64-diff"]);
    tests.args(["--no-fail-fast", "--success-output", "final"]);
    tests.env("AXEBPF_A64_ORACLE", build_oracle()?);
    if extent == Extent::Full {
        tests.envs([("AXEBPF_A64_CASES", "100000"), ("AXEBPF_A64_STRIDE", "1")]);
    }
    Ok(tests)
}

/// Compares.
///
/// # Errors
///
/// When something differs, and when [`tests`] fails.
pub(crate) fn compare(extent: Extent) -> Result<()> {
    run(&mut tests(extent)?)
}

/// Builds `tests/a64-diff/oracle`, a program for Linux on aarch64 without a C library.
fn build_oracle() -> Result<PathBuf> {
    let folder = workspace::target().join("a64-oracle");
    fs::create_dir_all(&folder)?;
    let [object, oracle] = ["oracle.o", "oracle"].map(|name| folder.join(name));
    let mut clang = Command::new(Tool::Clang.path()?);
    clang.args(["--target=aarch64-linux-gnu", "-O2", "-Wall", "-Wextra"]);
    clang.args(["-ffreestanding", "-fno-builtin", "-fno-stack-protector"]);
    // The registers of the instruction under test are all of them, but the oracle itself need not touch vectors.
    clang.args(["-mgeneral-regs-only", "-c", "-o"]).arg(&object);
    run(clang.arg(workspace::root().join("tests/a64-diff/oracle/oracle.c")))?;
    let mut lld = Command::new(Tool::Lld.path()?);
    run(lld.args(["-static", "-o"]).arg(&oracle).arg(&object))?;
    Ok(oracle)
}
