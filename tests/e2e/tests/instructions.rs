//! What tracepoints and probes cost, in instructions that EL2 executes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, Options, image_path};

/// What is measured of guests, besides the floor: the name, and which other measurement it cannot be less than.
const GUEST: [(&str, &str); 18] = [
    ("guest_fault_closed", "guest_floor"),
    ("guest_exit_plain", "guest_floor"),
    ("guest_fault_plain", "guest_fault_closed"),
    ("guest_exit_probed_elsewhere", "guest_exit_plain"),
    ("guest_fault_probed_elsewhere", "guest_fault_plain"),
    ("guest_exit_after_probes", "guest_exit_plain"),
    ("guest_hidden_brk_hint", "guest_exit_probed_elsewhere"),
    ("guest_hidden_brk", "guest_hidden_brk_hint"),
    ("guest_hidden_brk_step", "guest_exit_probed_elsewhere"),
    ("guest_brk", "guest_exit_probed_elsewhere"),
    ("guest_brk_step", "guest_exit_probed_elsewhere"),
    ("guest_hvc", "guest_exit_probed_elsewhere"),
    ("guest_hvc_step", "guest_exit_probed_elsewhere"),
    ("guest_stage2_fault", "guest_fault_probed_elsewhere"),
    ("guest_stage2_fault_step", "guest_fault_probed_elsewhere"),
    ("guest_return", "guest_hidden_brk"),
    ("guest_program", "guest_hidden_brk"),
    ("guest_syscalls", "guest_program"),
];

type Measurements = BTreeMap<String, u64>;

/// Runs the testbed's `bench`: `bench NAME INSTRUCTIONS` a line.
fn measure() -> Result<Measurements> {
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

fn value(measured: &Measurements, name: &str) -> Result<u64> {
    let found = measured.get(name).copied();
    found.with_context(|| format!("no `{name}` in {measured:?}"))
}

#[test]
fn costs_are_in_order_and_runs_do_not_differ() -> Result<()> {
    let first = measure()?;
    let of = |name: &str| value(&first, name);
    assert_eq!(of("disabled")?, of("plain")? + 1, "{first:?}");
    for more in ["statistics", "recorded", "exit_count"] {
        assert!(of(more)? > of("disabled")?, "{first:?}");
    }
    for (name, less) in GUEST {
        assert!(of(name)? >= of(less)?, "{name} and {less} of {first:?}");
    }
    let second = measure()?;
    for name in first.keys().filter(|name| is_exact(name)) {
        assert_eq!(of(name)?, value(&second, name)?, "{name}");
    }
    Ok(())
}

/// Tells whether a measurement is the same in each run.
fn is_exact(name: &str) -> bool {
    name.starts_with("guest_") || ["plain", "disabled"].contains(&name)
}
