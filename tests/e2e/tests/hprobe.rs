//! Probes on every function of the hypervisor, while its guest runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, Options, Pattern, image_path};

/// Returns the checks that the guest has made, and those that went wrong.
fn checks(machine: &mut Machine) -> Result<[u64; 2]> {
    let list = machine.command("vm list")?;
    let numbers = list.lines().find_map(|line| {
        let mut words = line.split_whitespace().rev();
        let wrong = words.next()?.parse().ok()?;
        Some([words.next()?.parse().ok()?, wrong])
    });
    numbers.with_context(|| format!("no VM in\n{list}"))
}

/// Waits until the guest has made some more checks.
fn guest_goes_on(machine: &mut Machine) -> Result<()> {
    const MORE: u64 = 20;
    let [before, _] = checks(machine)?;
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(500));
        let [now, wrong] = checks(machine)?;
        ensure!(wrong == 0, "{wrong} checks of the guest went wrong");
        if now >= before + MORE {
            return Ok(());
        }
    }
    anyhow::bail!("the guest stands still at {before} checks")
}

/// Probes all functions at once, with a program that counts their calls in a map.
fn all_at_once(cpus: u32) -> Result<()> {
    let options = Options {
        cpus,
        ..Options::default()
    };
    let mut machine = Machine::boot(&image_path()?, &options)?;
    machine.command("prog load func_count")?;
    machine.command("prog load exit_count --attach")?;
    for _ in 0..2 {
        let attached = machine.command("link attach func_count hprobe:* --limit 100000")?;
        ensure!(attached.contains("left out"), "{attached}");
        guest_goes_on(&mut machine)?;
        let exits = machine.command("link list")?;
        ensure!(exits.contains("exit_count"), "{exits}");
        let detached = machine.command("link detach func_count")?;
        ensure!(detached.contains(" 0 errors"), "{detached}");
        guest_goes_on(&mut machine)?;
    }
    let listed = machine.command("hprobe list")?;
    ensure!(listed.contains("nothing is probed"), "{listed}");
    // What was counted is what the guest did: each exit that the tracepoint saw went to the handler.
    let counted = machine.command("map dump calls --key sym --count 5000")?;
    ensure!(counted.contains("exit::handle"), "{counted}");
    machine.shut_down()
}

#[test]
fn all_functions_at_once_on_two_cpus() -> Result<()> {
    all_at_once(2)
}

#[test]
fn all_functions_at_once_on_four_cpus() -> Result<()> {
    all_at_once(4)
}

/// Probes each function alone for a moment, and then all of them, with handlers that only count.
fn one_after_the_other(cpus: u32) -> Result<()> {
    let options = Options {
        cpus,
        timeout: Duration::from_secs(400),
        ..Options::default()
    };
    let mut machine = Machine::boot(&image_path()?, &options)?;
    let swept = machine.command("hprobe-sweep")?;
    let alone =
        Pattern::new("one after the other: <n+> probed, <n+> refused, <n+> hits, <n> missed");
    let together = Pattern::new("all at once: <n+> hits, <n+> missed");
    for expected in [alone, together] {
        let is_there = swept.lines().any(|line| expected.matches(line));
        ensure!(is_there, "{swept}");
    }
    guest_goes_on(&mut machine)?;
    machine.shut_down()
}

#[test]
fn one_function_after_the_other_on_two_cpus() -> Result<()> {
    one_after_the_other(2)
}

#[test]
fn one_function_after_the_other_on_four_cpus() -> Result<()> {
    one_after_the_other(4)
}

/// Sweeps as `command` says, on two CPUs, and looks for all of `lines`.
fn sweeps(command: &str, lines: &[&str]) -> Result<()> {
    let options = Options {
        timeout: Duration::from_secs(400),
        ..Options::default()
    };
    let mut machine = Machine::boot(&image_path()?, &options)?;
    let swept = machine.command(command)?;
    for line in lines {
        let expected = Pattern::new(line);
        ensure!(swept.lines().any(|line| expected.matches(line)), "{swept}");
    }
    guest_goes_on(&mut machine)?;
    machine.shut_down()
}

#[test]
fn each_instruction_of_each_function() -> Result<()> {
    let counted = "one after the other: <n+> probed, <n+> refused, <n+> hits, <n> missed";
    sweeps("hprobe-sweep instructions", &[counted])
}

#[test]
fn each_return_and_then_all_returns() -> Result<()> {
    let alone = "one after the other: <n+> probed, <n+> refused, <n+> hits, <n> missed";
    let together = "all at once: <n+> probed, 0 refused, <n+> hits, <n> missed";
    sweeps("hprobe-sweep returns", &[alone, together])
}

#[test]
fn what_is_entered_returns() -> Result<()> {
    let mut machine = Machine::boot(&image_path()?, &Options::default())?;
    machine.command("prog load func_count")?;
    machine.command("prog load func_latency")?;
    machine.command("link attach func_count hprobe:*::exit::handle")?;
    machine.command("link attach func_latency hretprobe:*::exit::handle")?;
    guest_goes_on(&mut machine)?;
    let detached = machine.command("link detach all")?;
    let runs: Vec<u64> = detached
        .lines()
        .filter_map(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    let [entries, returns] = runs[..] else {
        anyhow::bail!("not two links in\n{detached}");
    };
    // The guest goes on between the commands that attach and detach, so the two are not the same.
    let apart = entries.abs_diff(returns);
    ensure!(entries > 20 && apart <= entries / 2, "{detached}");
    machine.shut_down()
}

/// Returns the first number of the line that starts with `start`, which has `column` words before it.
fn number(output: &str, start: &str, column: usize) -> Result<u64> {
    let line = output
        .lines()
        .find(|line| line.trim_start().starts_with(start));
    let word = line.and_then(|line| line.split_whitespace().nth(column));
    let number = word.and_then(|word| word.parse().ok());
    number.with_context(|| format!("no number for `{start}` in\n{output}"))
}

/// Counts the exits of a guest from its boot to its end twice: by a tracepoint and by a probe on the function that
/// handles them.
#[test]
fn each_exit_is_handled_once() -> Result<()> {
    let mut machine = Machine::boot(&image_path()?, &Options::default())?;
    machine.command("vm shutdown 1")?;
    stopped(&mut machine)?;
    machine.command("vm destroy 1")?;
    machine.command("vm create")?;
    machine.command("prog load func_count")?;
    machine.command("link attach func_count hprobe:*::exit::handle")?;
    machine.command("trace enable vmm:vcpu_run_exit")?;
    machine.command("vm boot 2")?;
    guest_goes_on(&mut machine)?;
    machine.command("vm shutdown 2")?;
    stopped(&mut machine)?;
    let links = machine.command("link list")?;
    let stat = machine.command("trace stat vmm:vcpu_run_exit")?;
    let handled = number(&links, "1  1:func_count", 2)? + number(&links, "1  1:func_count", 3)?;
    let exits = number(&stat, "vmm:vcpu_run_exit", 1)? + number(&stat, "vmm:vcpu_run_exit", 2)?;
    ensure!(exits > 20 && exits == handled, "{links}{stat}");
    machine.shut_down()
}

/// Waits until the only guest has stopped.
fn stopped(machine: &mut Machine) -> Result<()> {
    for _ in 0..60 {
        if machine.command("vm list")?.contains("stopped") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    anyhow::bail!("the guest does not stop")
}
