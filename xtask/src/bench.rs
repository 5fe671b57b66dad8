//! `cargo xtask bench`.

mod el2;
mod interp;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::{el2::Measurement, interp::Comparison};
use crate::process::say;

/// Measures the interpreter beside others, and what events cost the hypervisor at EL2.
///
/// The first table is of times on this machine: the shortest of many rounds in which the interpreters take turns, and
/// whether axebpf takes no more than the bar's part of the others' time. The second one is of instructions, which QEMU
/// counts, so that it is exact and the same on every host. Fails if a bar does not hold, or a part could not be
/// measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also write the measurements to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A row of either table.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'m> {
    Interp(&'m Comparison),
    El2(&'m Measurement),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let interp = interp::measure();
    if let Err(error) = &interp {
        // The other part is worth its time all the same.
        eprintln!("ERROR: {error:#}");
    }
    let el2 = el2::measure();
    if let Some(path) = &args.json {
        let comparisons = interp.iter().flatten().map(Row::Interp);
        let measurements = el2.iter().flatten().map(Row::El2);
        write(&comparisons.chain(measurements).collect::<Vec<_>>(), path)?;
    }
    el2?;
    conclude(&interp?)
}

/// Says whether all bars hold, last of all, where it is read.
fn conclude(comparisons: &[Comparison]) -> Result<()> {
    let missed: Vec<_> = comparisons.iter().filter_map(Comparison::missed).collect();
    if !missed.is_empty() {
        bail!(
            "{} of {} bars are MISSED: {}",
            missed.len(),
            comparisons.len(),
            missed.join("; ")
        );
    }
    say(format_args!("all {} bars hold", comparisons.len()));
    Ok(())
}

fn write(rows: &[Row<'_>], path: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(rows)? + "\n";
    fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    say(format_args!("wrote {}", path.display()));
    Ok(())
}
