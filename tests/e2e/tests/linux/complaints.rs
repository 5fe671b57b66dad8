//! The guest's own breakpoint instructions, in its kernel and in its processes, while there are probes beside them.

use anyhow::{Context, Result};
use axebpf_e2e::Machine;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::{
    guest::{
        Counts, KILLS, MODES, address_of, attach, check_workload, counts, detach_all,
        kernel_messages, load_module, silence_kernel,
    },
    in_guest, shell,
};

/// A `WARN` says who called it and goes on; a `BUG` ends the process, and nothing else.
fn check_complaints(machine: &mut Machine, symbols: &[(String, u64)], mode: &str) -> Result<()> {
    // What complains is called by this, from the same page.
    let on_write = address_of(symbols, "on_write")?;
    let write = attach(machine, &format!("{on_write:#x} {mode}"))?;
    let kill = attach(machine, &format!("__arm64_sys_kill {mode}"))?;
    in_guest(machine, "echo warn > /proc/axebpf")?;
    let said = kernel_messages(machine)?;
    for part in [
        "WARNING: CPU: ",
        " at module.c:",
        "warn_on_request+0x0/",
        "lr : on_write+0x",
        "]  proc_reg_write+0x",
        "---[ end trace",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    // What the kernel says of it goes to the console in any case: let it end.
    in_guest(
        machine,
        "sh -c 'echo bug > /proc/axebpf'; code=$?; sleep 1; test $code = 139",
    )?;
    silence_kernel(machine)?;
    let said = kernel_messages(machine)?;
    for part in [
        "kernel BUG at module.c:",
        "Internal error: Oops - BUG: ",
        "pc : bug_on_request+0x0/",
        "Comm: sh",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    // From the page before, in which there is no probe.
    in_guest(machine, "echo run 10 > /proc/axebpf")?;
    check_workload(machine)?;
    assert_eq!(counts(machine, write)?, Counts::all_of(3));
    assert_eq!(counts(machine, kill)?, Counts::all_of(KILLS));
    detach_all(machine)
}

/// What complains cannot be probed itself: it is an exception, which nobody else can take.
fn check_refusal(machine: &mut Machine, symbols: &[(String, u64)]) -> Result<()> {
    for name in ["warn_on_request", "bug_on_request"] {
        let at = address_of(symbols, name)?;
        let said = machine.command(&format!("vm probe 1 {at:#x}"))?;
        assert!(said.starts_with("error: "), "{said}");
    }
    Ok(())
}

/// The module goes, and its pages become something else, while there are probes in them; then it comes back.
fn check_unloading(machine: &mut Machine, symbols: &[(String, u64)], mode: &str) -> Result<()> {
    for name in ["counted_push", "counted_move", "counted_mask"] {
        let at = address_of(symbols, name)?;
        attach(machine, &format!("{at:#x} {mode}"))?;
    }
    in_guest(machine, "echo run 100 > /proc/axebpf")?;
    in_guest(machine, "rmmod axebpf_guest")?;
    // Most of the memory that is left, so that the module's pages are among it.
    in_guest(machine, "dd if=/dev/zero of=/tmp/zeroes bs=1M count=60")?;
    detach_all(machine)?;
    let said = in_guest(machine, "sha256sum /tmp/zeroes; rm /tmp/zeroes")?;
    assert!(said.contains(ZEROES), "{mode}: {said}");
    check_workload(machine)
}

/// The checksum of 60 MiB of zeroes.
const ZEROES: &str = "cf5ac69ca412f9b3b1a8b8de27d368c5c05ed4b1b6aa40e6c38d9cbf23711342";

/// The guest's own probes on processes, which are breakpoint instructions and steps, count as they do without ours.
fn check_user_probes(machine: &mut Machine) -> Result<()> {
    let at = file_offset("print_number")?;
    in_guest(
        machine,
        &format!(
            "cd /sys/kernel/tracing; echo 'p:numbers /init:{at:#x}' > uprobe_events; \
             echo 1 > events/uprobes/enable"
        ),
    )?;
    let alone = count_numbers(machine)?;
    assert_ne!(alone, 0);
    for mode in MODES {
        // In between, the guest steps processes, and is left alone as long as it does.
        for place in ["uprobe_notify_resume", "do_debug_exception", "schedule"] {
            attach(machine, &format!("{place}+8 {mode}"))?;
        }
        assert_eq!(count_numbers(machine)?, alone, "{mode}");
        detach_all(machine)?;
    }
    in_guest(
        machine,
        "echo 0 > events/uprobes/enable; echo > uprobe_events",
    )?;
    Ok(())
}

/// Runs the workload and returns how often its probe on `print_number` was hit.
fn count_numbers(machine: &mut Machine) -> Result<u64> {
    let hits = |said: &str| -> Option<u64> {
        let line = said.lines().find(|line| line.contains(" numbers "))?;
        line.split_whitespace().last()?.parse().ok()
    };
    let profile = "cat uprobe_profile";
    let before = in_guest(machine, profile)?;
    check_workload(machine)?;
    let after = in_guest(machine, profile)?;
    let both = hits(&before).zip(hits(&after));
    let (before, after) = both.with_context(|| format!("no counts in\n{after}"))?;
    Ok(after - before)
}

/// Returns where the guest's init has the function `name`, in its file.
fn file_offset(name: &str) -> Result<u64> {
    let init = std::fs::read(crate::folder()?.join("init"))?;
    let elf = object::File::parse(&*init)?;
    let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name));
    let symbol = symbol.with_context(|| format!("init has no {name}"))?;
    let index = symbol.section_index().context("it lies nowhere")?;
    let section = elf.section_by_index(index)?;
    let (start, _) = section.file_range().context("it is not in the file")?;
    Ok(start + (symbol.address() - section.address()))
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn the_guest_warns_and_oopses_as_ever() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for mode in MODES {
        let symbols = load_module(&mut machine)?;
        check_unloading(&mut machine, &symbols, mode).with_context(|| format!("{mode}: rmmod"))?;
    }
    let symbols = load_module(&mut machine)?;
    check_refusal(&mut machine, &symbols)?;
    kernel_messages(&mut machine)?;
    for mode in MODES {
        check_complaints(&mut machine, &symbols, mode).context(mode)?;
    }
    check_user_probes(&mut machine).context("probes on processes")?;
    machine.shut_down()
}
