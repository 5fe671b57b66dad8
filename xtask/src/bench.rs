//! `cargo xtask bench`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, Options};
use serde::Serialize;

use crate::{
    build_image,
    process::say,
    tools::{self, Tool},
};

/// Counts the instructions that events cost the hypervisor at EL2.
///
/// QEMU counts instructions (`-icount shift=0`, one CPU), so the numbers are exact and the same on every host.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also write the measurements to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How long the measurements may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// One measurement, as the testbed's `bench` prints it: `bench NAME VALUE UNIT [BASELINE]`.
#[derive(Debug, PartialEq, Serialize)]
struct Measurement {
    name: String,
    value: f64,
    unit: String,
    /// What the value is compared with, in the same unit.
    baseline: Option<f64>,
    /// The value by the baseline.
    ratio: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure(&Tool::RUN)?;
    let image = build_image::build()?;
    say("measuring under QEMU, one CPU, counting instructions");
    let mut machine = Machine::boot(&image, &Options::counted())?;
    let output = machine.command_for("bench", TIMEOUT)?;
    machine.shut_down()?;
    let measurements: Vec<Measurement> = output
        .lines()
        .filter_map(|line| line.strip_prefix("bench "))
        .map(parse)
        .collect::<Result<_>>()?;
    ensure!(
        !measurements.is_empty(),
        "the testbed measured nothing; it said\n{output}"
    );
    print(&measurements);
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&measurements)? + "\n";
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
        say(format_args!("wrote {}", path.display()));
    }
    Ok(())
}

/// Reads what follows `bench` on a line.
fn parse(line: &str) -> Result<Measurement> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, value, unit, baseline) = match words.as_slice() {
        [name, value, unit] => (name, value, unit, None),
        [name, value, unit, baseline] => (name, value, unit, Some(baseline.parse()?)),
        _ => anyhow::bail!("the testbed printed `bench {line}`"),
    };
    let value: f64 = value.parse().with_context(|| format!("`bench {line}`"))?;
    let ratio = baseline
        .filter(|baseline| *baseline != 0.0)
        .map(|baseline| value / baseline);
    Ok(Measurement {
        name: (*name).into(),
        value,
        unit: (*unit).into(),
        baseline,
        ratio,
    })
}

fn print(measurements: &[Measurement]) {
    let shown = |number: Option<f64>| number.map_or_else(|| "-".into(), |n| format!("{n:.2}"));
    println!(
        "    {:<36} {:>12} {:<8} {:>12} {:>7}",
        "name", "value", "unit", "baseline", "ratio"
    );
    for Measurement {
        name,
        value,
        unit,
        baseline,
        ratio,
    } in measurements
    {
        println!(
            "    {name:<36} {value:>12.2} {unit:<8} {:>12} {:>7}",
            shown(*baseline),
            shown(*ratio)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Measurement, parse};

    #[test]
    fn measurements_are_read() {
        let read = |line| parse(line).ok();
        let plain = Measurement {
            name: "a".into(),
            value: 3.0,
            unit: "insns".into(),
            baseline: None,
            ratio: None,
        };
        assert_eq!(read("a 3 insns"), Some(plain));
        assert_eq!(read("a 3 insns 6").and_then(|m| m.ratio), Some(0.5));
        assert_eq!(read("a 3 insns 0").and_then(|m| m.ratio), None);
        assert_eq!(read("a x insns"), None);
        assert_eq!(read("a 3"), None);
    }
}
