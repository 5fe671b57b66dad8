//! The walker of guests' translation tables against the processor's own translation.

use std::time::Duration;

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, Options, image_path};

/// How long the checks may take, which are done in a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the number before `what` in a list such as `3 checked, 2 mapped`.
fn number(list: &str, what: &str) -> Result<u64> {
    let part = list
        .split(',')
        .find_map(|part| part.trim().strip_suffix(what));
    let part = part.with_context(|| format!("nothing is {what} in `{list}`"))?;
    Ok(part.trim().parse()?)
}

/// Has a guest try all kinds of tables on `cpu`.
fn check(cpu: &str) -> Result<()> {
    let options = Options {
        cpu: cpu.into(),
        ..Options::default()
    };
    let mut machine = Machine::boot(&image_path()?, &options)?;
    machine.command("vm create translation vcpus 1")?;
    machine.send_line("vm boot 2")?;
    machine.expect("translation: all: ", PATIENCE)?;
    let list = machine.expect("\n", PATIENCE)?;
    let list = list.trim();
    assert_eq!(number(list, "wrong")?, 0, "{list}");
    let checked = number(list, "checked")?;
    assert!(checked > 50_000, "{list}");
    // Both what succeeds and what fails is compared, for all reasons.
    assert!(number(list, "mapped")? > checked / 5, "{list}");
    assert!(number(list, "outside")? > checked / 50, "{list}");
    machine.shut_down()
}

#[test]
fn the_walker_agrees_with_the_processor_on_all_kinds_of_tables() -> Result<()> {
    check("max,pauth-impdef=on")
}

#[test]
fn the_walker_agrees_with_a_processor_without_extensions() -> Result<()> {
    check("cortex-a72")
}
