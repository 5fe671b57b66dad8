//! What events cost the hypervisor at EL2.
//!
//! QEMU counts instructions (`-icount shift=0`, one CPU), so the numbers are exact and the same on every host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, Options};
use serde::Serialize;

use crate::{
    build_image,
    process::say,
    tools::{self, Tool},
};

/// How long the measurements may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The measurement that those of tracepoints are compared with: the same function without one.
const BASELINE: &str = "plain";

/// How the names of the measurements of probes begin, which say what a hit adds to the function, and what each kind is
/// compared with: a trap that does nothing. Those of guests say what is executed from one entry to the next.
const FLOORS: [(&str, &str); 2] = [("hprobe_", "hprobe_floor"), ("guest_", "guest_floor")];

/// The measurement of measuring itself, which the testbed has taken off the others.
const EMPTY: &str = "empty";

/// One measurement.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Measurement {
    /// What the function's tracepoint is in for, or none, or how the function is probed, or what a guest does.
    name: String,
    /// What one call of the function executes at EL2, or what a probe adds to that, or what a guest's call takes there.
    value: u64,
    unit: &'static str,
    /// What the same function without a tracepoint executes, or a trap that does nothing.
    baseline: u64,
    /// The value by the baseline.
    ratio: f64,
}

/// Boots the testbed, measures there, and prints the table.
///
/// # Errors
///
/// When QEMU is missing, the testbed cannot be built or does not boot, or what it says cannot be read.
pub(super) fn measure() -> Result<Vec<Measurement>> {
    tools::ensure(&Tool::RUN)?;
    let image = build_image::build()?;
    say("measuring hits at EL2, under QEMU, one CPU, counting instructions");
    let mut machine = Machine::boot(&image, &Options::counted())?;
    let output = machine.command_for("bench", TIMEOUT)?;
    machine.shut_down()?;
    let measurements = read(&output)?;
    print(&measurements);
    Ok(measurements)
}

/// Reads the lines `bench NAME INSTRUCTIONS` that the testbed's `bench` prints.
fn read(output: &str) -> Result<Vec<Measurement>> {
    let counted: Vec<(&str, u64)> = output
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("bench "))
        .map(|line| {
            let (name, value) = line
                .split_once(' ')
                .with_context(|| format!("bench {line}"))?;
            Ok((
                name,
                value.parse().with_context(|| format!("bench {line}"))?,
            ))
        })
        .collect::<Result<_>>()?;
    let value_of = |wanted: &str| {
        let found = counted.iter().find(|(name, _)| *name == wanted);
        let (_, value) = *found.with_context(|| {
            format!("the testbed did not measure `{wanted}`; it said\n{output}")
        })?;
        ensure!(
            value != 0,
            "the testbed counted no instructions for `{wanted}`; it said\n{output}"
        );
        Ok(value)
    };
    value_of(BASELINE)?;
    let compared = counted.iter().filter(|(name, _)| *name != EMPTY);
    compared
        .map(|&(name, value)| {
            let baseline = value_of(baseline_of(name))?;
            Ok(Measurement {
                name: name.to_owned(),
                value,
                unit: "instructions",
                baseline,
                ratio: value as f64 / baseline as f64,
            })
        })
        .collect()
}

/// Returns the measurement that the one called `name` is compared with.
fn baseline_of(name: &str) -> &'static str {
    let floor = FLOORS.iter().find(|(prefix, _)| name.starts_with(prefix));
    floor.map_or(BASELINE, |(_, floor)| floor)
}

fn print(measurements: &[Measurement]) {
    println!(
        "    {:<28} {:>6} {:<12} {:>8} {:>7} {:>7}",
        "tracepoint or probe", "value", "unit", "baseline", "ratio", "added"
    );
    for Measurement {
        name,
        value,
        unit,
        baseline,
        ratio,
    } in measurements
    {
        let added = value.saturating_sub(*baseline);
        println!("    {name:<28} {value:>6} {unit:<12} {baseline:>8} {ratio:>7.2} {added:>7}");
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn measurements_are_compared_with_the_plain_function() {
        let output = "bench empty 3\nbench plain 20\nbench disabled 21\n";
        let measurements = read(output).unwrap_or_default();
        let rows: Vec<_> = measurements
            .iter()
            .map(|m| (m.name.as_str(), m.value, m.ratio))
            .collect();
        assert_eq!(rows, [("plain", 20, 1.0), ("disabled", 21, 1.05)]);
    }

    #[test]
    fn probes_are_compared_with_a_trap_that_does_nothing() {
        let output = "bench plain 20\nbench hprobe_floor 100\nbench hprobe_slot 250\n";
        let measurements = read(output).unwrap_or_default();
        let ratios: Vec<_> = measurements.iter().map(|m| m.ratio).collect();
        assert_eq!(ratios, [1.0, 1.0, 2.5]);
    }

    #[test]
    fn guests_are_compared_with_an_exit_that_does_nothing() {
        let output = "bench plain 20\nbench guest_floor 200\nbench guest_brk 1000\n";
        let measurements = read(output).unwrap_or_default();
        let ratios: Vec<_> = measurements.iter().map(|m| m.ratio).collect();
        assert_eq!(ratios, [1.0, 1.0, 5.0]);
    }

    #[test]
    fn what_is_no_measurement_is_refused() {
        for output in [
            "",
            "error: no",
            "bench plain 0",
            "bench plain x",
            "bench disabled 3",
            "bench plain 20\nbench hprobe_slot 250",
            "bench plain 20\nbench guest_brk 1000",
            "bench plain 20\nbench hprobe_floor 100\nbench guest_brk 1000",
        ] {
            assert!(read(output).is_err(), "{output}");
        }
    }
}
