//! Functions that run on all vCPUs at all times, in interrupts too, beside what the kernel counts of them in `/proc`.
//!
//! Nobody can read both counts at the same time. A probe is read before and after the guest has read its own, so that
//! what the guest counts in between is bounded from both sides.

use anyhow::{Context, Result, ensure};
use axebpf_e2e::Machine;

use crate::{
    guest::{attach, check_workload, counts, detach_all},
    in_guest,
};

/// A function and what counts its calls: a word at the start of a line or at its end, and where.
struct Counter {
    function: &'static str,
    file: &'static str,
    word: &'static str,
}

/// A page fault; a switch from one task to another; and an interrupt of the timer.
const COUNTERS: [Counter; 3] = [
    Counter {
        function: "handle_mm_fault",
        file: "/proc/vmstat",
        word: "pgfault",
    },
    Counter {
        function: "finish_task_switch.isra.0",
        file: "/proc/stat",
        word: "ctxt",
    },
    Counter {
        function: "arch_timer_handler_virt",
        file: "/proc/interrupts",
        word: "arch_timer",
    },
];

/// What a counter says, with what the probe says before and after.
struct Sample {
    before: u64,
    guest: u64,
    after: u64,
}

/// Returns the sum of the numbers in the guest's line, in which each vCPU can have a number.
fn guest_count(machine: &mut Machine, counter: &Counter) -> Result<u64> {
    let command = format!("grep -w {} {}", counter.word, counter.file);
    let said = in_guest(machine, &command)?;
    let is_row = |line: &&str| line.contains(counter.word) && !line.contains("grep");
    let row = said.lines().find(is_row).with_context(|| said.clone())?;
    let (_, row) = row.split_once("vm1: ").with_context(|| said.clone())?;
    let words = row
        .split_whitespace()
        .skip_while(|word| *word == counter.word || word.ends_with(':'));
    Ok(words.map_while(|word| word.parse::<u64>().ok()).sum())
}

fn sample(machine: &mut Machine, counter: &Counter, link: u64) -> Result<Sample> {
    let before = counts(machine, link)?.hits;
    let guest = guest_count(machine, counter)?;
    let after = counts(machine, link)?.hits;
    Ok(Sample {
        before,
        guest,
        after,
    })
}

/// Checks that probes count what the kernel counts while its workload runs, on four vCPUs.
pub(crate) fn check(machine: &mut Machine) -> Result<()> {
    /// Each vCPU can be between the function and its counter.
    const BETWEEN: u64 = 4;
    for counter in &COUNTERS {
        let link = attach(machine, counter.function)?;
        let first = sample(machine, counter, link)?;
        check_workload(machine)?;
        let last = sample(machine, counter, link)?;
        let guest = last.guest - first.guest;
        let least = last.before - first.after;
        let most = last.after - first.before;
        let told = format!(
            "{}: the guest counts {guest}, the probe {least} to {most}",
            counter.function
        );
        ensure!(
            least <= guest + BETWEEN && guest <= most + BETWEEN,
            "{told}"
        );
        // The bounds say something.
        ensure!(least > 200 && most - least < most / 4, "{told}");
        detach_all(machine)?;
    }
    Ok(())
}
