//! The walker of translation tables against the processor, on the tables of a kernel that works.

use anyhow::{Context, Result};
use axebpf_e2e::PROMPT;

use crate::{PATIENCE, shell};

/// Checks addresses of the guest's kernel and of its programs while its workload runs.
fn check(cpu: &str) -> Result<()> {
    const ROUNDS: usize = 5;
    const EACH: u64 = 4000;
    let mut machine = shell(cpu, 2, 2)?;
    machine.send_line("vm type 1 /init work; echo ended-$?")?;
    machine.expect(PROMPT, PATIENCE)?;
    for _ in 0..ROUNDS {
        machine.send_line(&format!("vm check-translation 1 {EACH}"))?;
        machine.expect("outside, ", PATIENCE)?;
        let wrong = machine.expect(" wrong", PATIENCE)?;
        assert_eq!(wrong, "0 wrong");
    }
    let said = machine.expect_any(&["vm1: ended-0\n", "vm1: ended-1\n"], PATIENCE);
    let said = said.context("the workload does not end")?;
    assert!(said.ends_with("ended-0\n"), "{said}");
    // All of them were checked, and not just where nothing is mapped.
    let said = machine.command(&format!("vm check-translation 1 {EACH}"))?;
    let numbers: Vec<u64> = said
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [checked, mapped, _, wrong, _] = numbers[..] else {
        anyhow::bail!("{said}");
    };
    assert!(checked >= EACH && mapped > checked / 10, "{said}");
    assert_eq!(wrong, 0, "{said}");
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_walker_agrees_with_the_processor() -> Result<()> {
    check("cortex-a72")
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_walker_agrees_with_a_processor_with_all_extensions() -> Result<()> {
    check("max,pauth-impdef=on")
}
