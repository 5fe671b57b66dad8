//! Running the oracle.

use std::{
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};
use zerocopy::{FromZeros, IntoBytes};

use crate::state::State;

/// Everything that QEMU knows but SVE, whose registers its signal frames would hold twice.
const QEMU: [&str; 3] = [
    "qemu-aarch64",
    "-cpu",
    "max,sve=off,sme=off,pauth-impdef=on",
];

/// Executes `states` and returns what became of each.
pub(crate) fn execute(oracle: &Path, states: &[State]) -> Result<Vec<State>> {
    let mut child = command(oracle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run qemu-aarch64 (Debian's package qemu-user)")?;
    let stdin = child.stdin.take().context("the oracle has no input")?;
    let stdout = child.stdout.take().context("the oracle has no output")?;
    let after = thread::scope(|scope| {
        scope.spawn(move || {
            // If the oracle ended early, reading its output says so.
            let mut input = BufWriter::with_capacity(1 << 20, stdin);
            let _ = input
                .write_all(states.as_bytes())
                .and_then(|()| input.flush());
        });
        read(BufReader::with_capacity(1 << 20, stdout), states.len())
    });
    let status = child.wait()?;
    ensure!(
        status.success(),
        "the oracle failed ({status}; see `fail` in oracle.c)"
    );
    after
}

/// Returns what runs the oracle: the processor itself, if it can.
fn command(oracle: &Path) -> Command {
    if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        return Command::new(oracle);
    }
    let [qemu, arguments @ ..] = QEMU;
    let mut command = Command::new(qemu);
    command.args(arguments).arg(oracle);
    command
}

fn read(mut output: impl Read, count: usize) -> Result<Vec<State>> {
    let mut after = vec![State::new_zeroed(); count];
    output
        .read_exact(after.as_mut_bytes())
        .context("the oracle ended before its cases did")?;
    Ok(after)
}
