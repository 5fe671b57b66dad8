//! What the tests do with a guest that is at its shell, and with the probes on it.

use anyhow::{Context, Result, ensure};
pub(crate) use axebpf_e2e::Counts;
use axebpf_e2e::{Machine, PROMPT};

use crate::{PATIENCE, RESULTS, check_no_complaint, guest_lines, in_guest};

/// All modes, by the names that the shell has for them.
pub(crate) const MODES: [&str; 4] = ["hidden-brk", "brk", "hvc", "stage2-fault"];

/// How often the workload calls `kill`.
pub(crate) const KILLS: u64 = 2000;

/// Runs the workload in the guest and checks what it says.
pub(crate) fn check_workload(machine: &mut Machine) -> Result<()> {
    let said = in_guest(machine, "/init work")?;
    assert_eq!(guest_lines(&said, "workload: "), RESULTS, "{said}");
    check_no_complaint(&said);
    check_messages(machine)
}

/// Keeps the kernel's messages away from the console, where they would come in between; `dmesg` has them.
pub(crate) fn silence_kernel(machine: &mut Machine) -> Result<()> {
    in_guest(machine, "echo 1 > /proc/sys/kernel/printk")?;
    Ok(())
}

/// Returns the kernel's messages since the last time, after [`silence_kernel`].
pub(crate) fn kernel_messages(machine: &mut Machine) -> Result<String> {
    in_guest(machine, "dmesg -c")
}

/// Checks that nothing that the kernel has said since the last time is a complaint.
pub(crate) fn check_messages(machine: &mut Machine) -> Result<()> {
    check_no_complaint(&kernel_messages(machine)?);
    Ok(())
}

/// Attaches a probe and returns the number of its link.
pub(crate) fn attach(machine: &mut Machine, probe: &str) -> Result<u64> {
    machine.attach_probe(1, probe)
}

/// Detaches all probes.
pub(crate) fn detach_all(machine: &mut Machine) -> Result<()> {
    let said = machine.command("vm unprobe 1")?;
    check_no_complaint(&said);
    Ok(())
}

/// Returns what link `link` has counted.
pub(crate) fn counts(machine: &mut Machine, link: u64) -> Result<Counts> {
    machine.probe_counts(1, link)
}

/// Returns what `vm probes` says of the state of link `link`.
pub(crate) fn state(machine: &mut Machine, link: u64) -> Result<String> {
    let table = machine.command("vm probes 1")?;
    let link = link.to_string();
    let row = table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&link));
    let words = row.with_context(|| format!("no link {link} in\n{table}"))?;
    let words: Vec<&str> = words.split_whitespace().skip(4).collect();
    Ok(words.join(" "))
}

/// Returns runs, missed hits and errors of program link `id`.
pub(crate) fn link_counts(machine: &mut Machine, id: &str) -> Result<[u64; 3]> {
    let list = machine.command("link list")?;
    let mut rows = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|words| words.first() == Some(&id));
    let row = row.with_context(|| format!("no link {id} in\n{list}"))?;
    Ok([row[2].parse()?, row[3].parse()?, row[4].parse()?])
}

/// Returns where the guest's kernel has `name`.
pub(crate) fn kernel_address(machine: &mut Machine, name: &str) -> Result<u64> {
    let said = machine.command(&format!("gsym 1 {name}"))?;
    let found = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("0x"));
    let digits = found.with_context(|| said.clone())?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Returns the statistic `name` of the probes on the guest.
pub(crate) fn statistic(machine: &mut Machine, name: &str) -> Result<u64> {
    machine.probe_statistic(1, name)
}

/// Types a command and returns all that comes until the next prompt, the guest's lines included.
pub(crate) fn answer(machine: &mut Machine, command: &str) -> Result<String> {
    machine.send_line(command)?;
    machine.expect(PROMPT, PATIENCE)
}

/// Waits until the guest has stopped.
pub(crate) fn wait_until_off(machine: &mut Machine) -> Result<()> {
    for _ in 0..1000 {
        if machine.command("vm list")?.contains("stopped") {
            return Ok(());
        }
    }
    anyhow::bail!("the VM does not stop")
}

/// Ends the guest, and waits until it is off.
pub(crate) fn end(machine: &mut Machine) -> Result<()> {
    machine.command("vm shutdown 1")?;
    wait_until_off(machine)
}

/// Loads the module that counts its own calls, and returns where its functions are, by name.
pub(crate) fn load_module(machine: &mut Machine) -> Result<Vec<(String, u64)>> {
    in_guest(machine, "insmod /axebpf_guest.ko")?;
    let said = in_guest(machine, "grep axebpf_guest /proc/kallsyms")?;
    let symbols: Vec<(String, u64)> = said.lines().filter_map(symbol).collect();
    ensure!(!symbols.is_empty(), "no symbols of the module in\n{said}");
    Ok(symbols)
}

/// Reads a line like `vm1: ffff800000d00010 t counted_push [axebpf_guest]`.
fn symbol(line: &str) -> Option<(String, u64)> {
    let (_, line) = line.split_once("vm1: ")?;
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let name = words.nth(1)?;
    (!name.starts_with('$')).then(|| (name.to_owned(), address))
}

/// Returns where the module has `name`.
pub(crate) fn address_of(symbols: &[(String, u64)], name: &str) -> Result<u64> {
    let found = symbols.iter().find(|(known, _)| known == name);
    let (_, address) = found.with_context(|| format!("the module has no {name}"))?;
    Ok(*address)
}
