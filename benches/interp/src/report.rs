//! What is printed, and written for machines.

use std::path::Path;
use std::{fs, io};

use serde::Serialize;

use crate::measure::Times;
use crate::programs::Workload;

/// Whose interpreter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Axebpf,
    Rbpf,
    Sbpf,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Axebpf => "axebpf",
            Self::Rbpf => "rbpf 0.4.1",
            Self::Sbpf => "solana-sbpf 0.26.0",
        }
    }
}

/// The measurements of one workload.
pub(crate) struct Row {
    name: &'static str,
    unit: &'static str,
    own: Times,
    others: Vec<Comparison>,
}

struct Comparison {
    engine: Engine,
    times: Times,
    bar: f64,
}

/// One comparison as JSON has it.
#[derive(Serialize)]
struct Record {
    name: String,
    /// The shortest time of axebpf.
    value: f64,
    median: f64,
    unit: &'static str,
    /// The shortest time of what it is compared with.
    baseline: f64,
    baseline_median: f64,
    baseline_engine: &'static str,
    ratio: f64,
    /// The largest ratio allowed.
    bar: f64,
    holds: bool,
}

impl Times {
    pub(crate) fn divided_by(self, count: f64) -> Self {
        Self {
            min: self.min / count,
            median: self.median / count,
        }
    }
}

impl Row {
    pub(crate) fn new(workload: &Workload, times: Vec<(Engine, Times)>) -> Self {
        let own = times.iter().find(|(engine, _)| *engine == Engine::Axebpf);
        let others = times.iter().filter_map(|(engine, times)| {
            let bar = match engine {
                Engine::Axebpf => return None,
                Engine::Rbpf => workload.rbpf_bar,
                Engine::Sbpf => workload.sbpf_bar?,
            };
            Some(Comparison {
                engine: *engine,
                times: *times,
                bar,
            })
        });
        Self {
            name: workload.name,
            unit: workload.unit.name(),
            own: own.map_or(
                Times {
                    min: f64::NAN,
                    median: f64::NAN,
                },
                |(_, times)| *times,
            ),
            others: others.collect(),
        }
    }

    /// Tells whether all bars hold.
    pub(crate) fn holds(&self) -> bool {
        self.records().all(|record| record.holds)
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        self.others.iter().map(|other| {
            let ratio = self.own.min / other.times.min;
            Record {
                name: format!("{} vs {}", self.name, other.engine.name()),
                value: self.own.min,
                median: self.own.median,
                unit: self.unit,
                baseline: other.times.min,
                baseline_median: other.times.median,
                baseline_engine: other.engine.name(),
                ratio,
                bar: other.bar,
                holds: ratio <= other.bar,
            }
        })
    }
}

pub(crate) fn print_head() {
    println!(
        "{:<18} {:<8} {:>8} {:>8}  {:<18} {:>8} {:>8}  {:>6} {:>5}",
        "program", "unit", "min", "median", "compared with", "min", "median", "ratio", "bar"
    );
}

pub(crate) fn print(row: &Row) {
    for record in row.records() {
        println!(
            "{:<18} {:<8} {:>8.3} {:>8.3}  {:<18} {:>8.3} {:>8.3}  {:>6.3} {:>5.3} {}",
            row.name,
            record.unit,
            record.value,
            record.median,
            record.baseline_engine,
            record.baseline,
            record.baseline_median,
            record.ratio,
            record.bar,
            if record.holds { "holds" } else { "MISSED" }
        );
    }
}

pub(crate) fn write(rows: &[Row], path: &Path) -> io::Result<()> {
    let records: Vec<Record> = rows.iter().flat_map(Row::records).collect();
    fs::write(path, serde_json::to_string_pretty(&records)? + "\n")
}
