//! Compares the interpreter of axebpf with those of rbpf and solana-sbpf, side by side in one run.
//!
//! Ratios are of the shortest times, since everything that disturbs a measurement makes it longer; medians are printed,
//! too. Exits with 1 if a bar does not hold and `--check` is given.

mod engines;
mod measure;
mod programs;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use axebpf_hit::HitGuard;
use axebpf_platform::host::HOST;
use clap::Parser;

use crate::engines::{Run, Sbpf};
use crate::measure::measure;
use crate::programs::{Unit, Workload};
use crate::report::{Engine, Row};

/// Compares the interpreters of axebpf, rbpf and solana-sbpf.
#[derive(Parser)]
struct Args {
    /// The number of rounds in which the engines take turns.
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Also write the measurements to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a bar does not hold.
    #[arg(long)]
    check: bool,
    /// Measure only the workloads whose name contains this.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    axebpf_hit::install(&HOST).expect("the only platform");
    let guard = axebpf_hit::enter().expect("no hit in a hit");
    let filter = args.filter.as_deref().unwrap_or("");
    let workloads = programs::all()
        .into_iter()
        .filter(|workload| workload.name.contains(filter));
    report::print_head();
    let mut rows = Vec::new();
    for workload in workloads {
        let row = run(&workload, &guard, args.rounds);
        report::print(&row);
        rows.push(row);
    }
    if let Some(path) = &args.json {
        if let Err(error) = report::write(&rows, path) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if args.check && !rows.iter().all(Row::holds) {
        eprintln!("a bar does not hold");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures one workload on all engines that run it.
fn run(workload: &Workload, guard: &HitGuard, rounds: usize) -> Row {
    let mut engines = vec![Engine::Axebpf, Engine::Rbpf];
    let mut runs: Vec<Run<'_>> = vec![
        engines::axebpf(&workload.insns, guard),
        engines::rbpf(&workload.insns),
    ];
    let mut executed = 1;
    if workload.sbpf_bar.is_some() {
        let mut sbpf = Sbpf::new(&workload.insns);
        (executed, _) = sbpf.run();
        engines.push(Engine::Sbpf);
        runs.push(Box::new(move || sbpf.run().1));
    }
    let results: Vec<u64> = runs.iter_mut().map(|run| run()).collect();
    assert!(
        results.iter().all(|result| *result == results[0]),
        "{}: {results:x?}",
        workload.name
    );
    let per = if workload.unit == Unit::Instruction {
        executed as f64
    } else {
        1.0
    };
    let times = measure(&mut runs, rounds);
    let times = engines
        .into_iter()
        .zip(times)
        .map(|(engine, times)| (engine, times.divided_by(per)));
    Row::new(workload, times.collect())
}
