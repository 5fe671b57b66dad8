//! What the interpreter takes, beside those of rbpf and solana-sbpf.
//!
//! `benches/interp` measures and prints; it is a workspace of its own, so that what it compares with is no dependency
//! of axebpf.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    process::{run, say},
    workspace,
};

/// One comparison, as `benches/interp --json` writes it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Comparison {
    /// The program, and what it is compared with.
    name: String,
    value: f64,
    median: f64,
    unit: String,
    baseline: f64,
    baseline_median: f64,
    baseline_engine: String,
    ratio: f64,
    /// The largest ratio allowed.
    bar: f64,
    holds: bool,
}

impl Comparison {
    /// Says what is wrong, if the bar does not hold.
    pub(super) fn missed(&self) -> Option<String> {
        let Self {
            name, ratio, bar, ..
        } = self;
        (!self.holds).then(|| format!("{name}: ratio {ratio:.3}, allowed {bar:.3}"))
    }
}

/// Builds and runs the comparison, which prints its table.
///
/// # Errors
///
/// When it cannot be built (what it compares with comes from the registry) or stops early.
pub(super) fn measure() -> Result<Vec<Comparison>> {
    say("comparing the interpreter with rbpf and solana-sbpf, on this machine");
    let target = workspace::target().join("bench-interp");
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    let json = target.join("interp.json");
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root().join("benches/interp"))
        .args(["run", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .args(["--", "--json"])
        .arg(&json);
    run(&mut cargo).context(
        "the interpreter was NOT compared: rbpf and solana-sbpf come from the registry, which cargo must be able to reach",
    )?;
    read(&fs::read_to_string(&json).with_context(|| format!("cannot read {}", json.display()))?)
}

fn read(json: &str) -> Result<Vec<Comparison>> {
    let comparisons: Vec<Comparison> =
        serde_json::from_str(json).context("benches/interp wrote something else than expected")?;
    ensure!(!comparisons.is_empty(), "benches/interp compared nothing");
    Ok(comparisons)
}

#[cfg(test)]
mod tests {
    use super::read;

    const TWO: &str = r#"[
        {"name": "loop vs other", "value": 1.0, "median": 1.1, "unit": "ns/insn", "baseline": 4.0,
         "baseline_median": 4.1, "baseline_engine": "other", "ratio": 0.25, "bar": 0.5, "holds": true},
        {"name": "primes vs other", "value": 3.0, "median": 3.1, "unit": "ns/insn", "baseline": 4.0,
         "baseline_median": 4.1, "baseline_engine": "other", "ratio": 0.75, "bar": 0.5, "holds": false}
    ]"#;

    #[test]
    fn missed_bars_are_named() {
        let comparisons = read(TWO).unwrap_or_default();
        let missed: Vec<_> = comparisons.iter().map(super::Comparison::missed).collect();
        let said = "primes vs other: ratio 0.750, allowed 0.500".to_owned();
        assert_eq!(missed, [None, Some(said)]);
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        for json in ["", "[]", "{}", "[{}]", r#"[{"name": "loop"}]"#] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
