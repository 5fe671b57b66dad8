//! Where the guest's kernel runs: KASLR puts it elsewhere each time, and symbols follow.

use anyhow::{Context, Result, ensure};
use axebpf::symbols::{Encoder, KernelSymbols};
use axebpf_e2e::{Machine, upload_by};

use crate::guest::{end, kernel_address, link_counts};
use crate::{guest_lines, in_guest, machine, seeded_machine};

/// It has no instruction for random numbers, so that the kernel has to be given one.
const CPU: &str = "cortex-a72";
/// Where Debian's kernel is linked: `_stext`, 64 KiB into it (Linux 6.1: arch/arm64/include/asm/memory.h).
const LINKED: u64 = 0xffff_8000_0801_0000;
/// What `then=` of the guest's init is followed by to leave its shell to the test.
const THEN: &str = "rounds=0 then=shell";

/// Boots the guest up to its shell, and returns where its kernel runs, as it says itself.
fn boot(machine: &mut Machine) -> Result<u64> {
    crate::boot(machine)?;
    let said = in_guest(machine, "grep _stext /proc/kallsyms")?;
    let line = *guest_lines(&said, "ffff").first().context(said.clone())?;
    let digits = line.split_whitespace().next().unwrap_or_default();
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Returns the functions that the shell finds by `glob`, and where.
fn functions(machine: &mut Machine, glob: &str) -> Result<Vec<(u64, String)>> {
    let said = machine.command(&format!("gsym 1 {glob} --limit 1000"))?;
    let rows = said.lines().filter_map(|line| {
        let mut words = line.strip_prefix("0x")?.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((address, words.nth(2)?.to_owned()))
    });
    Ok(rows.collect())
}

/// Returns `functions` as a `System.map` has them.
fn system_map(functions: &[(u64, String)], slide: u64) -> String {
    let linked = functions.iter().map(|(at, name)| (at - slide, name));
    linked
        .map(|(at, name)| format!("{at:016x} T {name}\n"))
        .collect()
}

fn blob(text: &str) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    for symbol in KernelSymbols::from_text(text.as_bytes())?.iter() {
        encoder.push_kernel(&symbol)?;
    }
    Ok(encoder.finish_file()?)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_kernel_runs_elsewhere_each_time_unless_it_is_told_where() -> Result<()> {
    let mut free = machine(CPU, 2, 1, THEN)?;
    let mut places = Vec::new();
    for _ in 0..2 {
        places.push(boot(&mut free)?);
        // What is found in memory is what the guest says of itself.
        assert_eq!(Some(&kernel_address(&mut free, "_stext")?), places.last());
        end(&mut free)?;
    }
    free.shut_down()?;
    assert!(
        !places.contains(&LINKED) && places[0] != places[1],
        "{places:x?}"
    );
    let mut fixed = seeded_machine(CPU, 2, 1, THEN, Some(0x0123_4567_89ab_cdef))?;
    let place = boot(&mut fixed)?;
    end(&mut fixed)?;
    assert_eq!(boot(&mut fixed)?, place);
    assert_ne!(place, LINKED);
    fixed.shut_down()?;
    let mut unslid = machine(CPU, 2, 1, &format!("nokaslr {THEN}"))?;
    assert_eq!(boot(&mut unslid)?, LINKED);
    unslid.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn a_system_map_follows_the_kernel() -> Result<()> {
    let mut machine = machine(CPU, 2, 2, THEN)?;
    let slide = boot(&mut machine)? - LINKED;
    let mut some = functions(&mut machine, "__arm64_sys_*")?;
    ensure!(some.len() > 100, "{} system calls", some.len());
    some.push((LINKED + slide, "_stext".into()));
    let map = system_map(&some, slide);
    let moved = format!("moved by {slide:#x} from where the file says");
    let syms = "vm syms 1 --upload";
    for file in [map.clone().into_bytes(), blob(&map)?] {
        let said = upload_by(&mut machine, syms, &file, |_| {})?;
        ensure!(said.contains(&moved), "{said}");
        assert_eq!(
            kernel_address(&mut machine, "__arm64_sys_kill")?,
            kill(&some)?
        );
    }
    // Damage on its way, and what says already where the kernel runs.
    let mut damaged = blob(&map)?;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let said = upload_by(&mut machine, syms, &damaged, |_| {})?;
    ensure!(said.contains("the blob is damaged: the checksum"), "{said}");
    let kallsyms = system_map(&some, 0);
    let said = upload_by(&mut machine, syms, kallsyms.as_bytes(), |_| {})?;
    ensure!(said.contains("\n  where the file says"), "{said}");
    // A link by a name of the file, through a restart to elsewhere.
    upload_by(&mut machine, syms, &blob(&map)?, |_| {})?;
    machine.command("prog load func_count")?;
    machine.command("link attach func_count kprobe:vm1:__arm64_sys_kill")?;
    in_guest(&mut machine, "/init work")?;
    assert_eq!(link_counts(&mut machine, "1")?[0], 2000);
    end(&mut machine)?;
    let slide = boot(&mut machine)? - LINKED;
    assert_eq!(kernel_address(&mut machine, "_stext")?, LINKED + slide);
    in_guest(&mut machine, "/init work")?;
    assert_eq!(link_counts(&mut machine, "1")?[0], 4000);
    machine.shut_down()
}

/// Returns where `functions` have the system call that the workload does most often.
fn kill(functions: &[(u64, String)]) -> Result<u64> {
    let found = functions
        .iter()
        .find(|(_, name)| name == "__arm64_sys_kill");
    Ok(found.context("no kill")?.0)
}

/// A kernel that is at a random place has other tables for programs, and uses them for the first instructions of each
/// of its entries (page table isolation, which KASLR turns on).
#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn links_are_attached_whatever_tables_the_guest_uses_at_the_moment() -> Result<()> {
    let mut machine = machine(CPU, 2, 2, THEN)?;
    boot(&mut machine)?;
    in_guest(
        &mut machine,
        "(for i in 1 2; do (while true; do (:); done) & done)",
    )?;
    machine.command("prog load guest_func_latency")?;
    for round in 0..150 {
        let said = machine.command("link attach guest_func_entry kprobe:vm1:__arm64_sys_kill")?;
        ensure!(said.starts_with("link "), "round {round}: {said}");
        machine.command("link detach all")?;
    }
    machine.shut_down()
}
