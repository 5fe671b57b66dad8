//! Probes on functions that are chosen at random from all over the kernel.

use std::env;

use anyhow::{Context, Result, ensure};
use axebpf_e2e::Machine;

use crate::{
    check_no_complaint,
    guest::{check_workload, detach_all, statistic},
    shell,
};

/// How many functions are probed at once.
const FUNCTIONS: usize = 200;
/// How many of them have to take a probe, whichever they are.
const LEAST: usize = 180;
/// Why a function may be refused, as the section on guests of `docs/integration.md` says.
const REFUSALS: [&str; 4] = [
    "not mapped",
    "not executable",
    "in exclusives",
    "not displaceable",
];

/// What the choice of each round begins with. `AXEBPF_SEED` says another one for the first of them.
fn seed(round: u64) -> Result<u64> {
    let first = match env::var("AXEBPF_SEED") {
        Ok(text) => text.parse().context("AXEBPF_SEED is no number")?,
        Err(_) => 1,
    };
    Ok(first + round)
}

/// Probes functions in `mode`, and runs the workload with them.
fn check(machine: &mut Machine, mode: &str, seed: u64) -> Result<()> {
    let errors = statistic(machine, "errors")?;
    let said = machine.command(&format!("vm probe-many 1 {FUNCTIONS} {mode} {seed}"))?;
    let start = format!("seed {seed}: ");
    let numbers = said.lines().find_map(|line| line.strip_prefix(&start));
    let numbers: Vec<usize> = numbers
        .with_context(|| said.clone())?
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [attached, refused] = numbers[..] else {
        anyhow::bail!("{said}");
    };
    assert_eq!(attached + refused, FUNCTIONS, "{said}");
    assert!(attached >= LEAST, "{said}");
    let reasons: Vec<_> = said
        .lines()
        .filter_map(|line| line.strip_prefix("  refused: ")?.split(':').next())
        .collect();
    assert_eq!(reasons.len(), refused, "{said}");
    assert!(reasons.iter().all(|why| REFUSALS.contains(why)), "{said}");
    check_workload(machine)?;
    check_counts(machine)?;
    assert_eq!(statistic(machine, "errors")?, errors);
    detach_all(machine)
}

/// All that was begun was completed, or is in the middle of it on one of the vCPUs; and something was.
fn check_counts(machine: &mut Machine) -> Result<()> {
    let table = machine.command("vm probes 1")?;
    let mut all = 0;
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, hits, retired, missed, ..] = words[..] else {
            continue;
        };
        let Ok(hits) = hits.parse::<u64>() else {
            continue;
        };
        ensure!(retired.parse::<u64>()?.abs_diff(hits) <= 2, "{table}");
        ensure!(missed == "0", "{table}");
        all += hits;
    }
    ensure!(all > 0, "nothing was hit:\n{table}");
    Ok(())
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn hundreds_of_probes_change_no_result() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for (round, mode) in (0..).zip(["hidden-brk", "hidden-brk", "brk", "hvc"]) {
        let seed = seed(round)?;
        check(&mut machine, mode, seed).with_context(|| format!("{mode}, seed {seed}"))?;
    }
    check_workload(&mut machine)?;
    let said = machine.command("vm list")?;
    check_no_complaint(&said);
    machine.shut_down()
}
