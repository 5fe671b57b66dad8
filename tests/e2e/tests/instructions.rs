//! What a tracepoint costs, in instructions that EL2 executes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, Options, image_path};

/// Runs the testbed's `bench`: `bench NAME INSTRUCTIONS` a line.
fn measure() -> Result<BTreeMap<String, u64>> {
    let mut machine = Machine::boot(&image_path()?, &Options::counted())?;
    let output = machine.command_for("bench", Duration::from_secs(300))?;
    machine.shut_down()?;
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("bench "));
    lines
        .map(|line| {
            let (name, value) = line.split_once(' ').context("no value")?;
            Ok((name.to_owned(), value.trim().parse()?))
        })
        .collect::<Result<_>>()
        .with_context(|| format!("the testbed said\n{output}"))
}

#[test]
fn a_disabled_tracepoint_executes_one_instruction_and_runs_do_not_differ() -> Result<()> {
    let first = measure()?;
    let of = |name: &str| {
        first
            .get(name)
            .copied()
            .with_context(|| format!("no `{name}`"))
    };
    assert_eq!(of("disabled")?, of("plain")? + 1, "{first:?}");
    for more in ["statistics", "recorded", "exit_count"] {
        assert!(of(more)? > of("disabled")?, "{first:?}");
    }
    let second = measure()?;
    assert_eq!(first.get("disabled"), second.get("disabled"));
    assert_eq!(first.get("plain"), second.get("plain"));
    Ok(())
}
