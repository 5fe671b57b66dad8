//! How the instructions that probes displace are executed.

use anyhow::Result;

use crate::{
    guest::{Counts, KILLS, answer, attach, check_workload, counts, detach_all, statistic},
    in_guest, shell,
};

/// Attaches a probe to each instruction of the first `len` bytes of a function that can be probed, and returns how many
/// those are.
fn attach_all(machine: &mut axebpf_e2e::Machine, function: &str, len: u32) -> Result<usize> {
    let mut attached = 0;
    for offset in (0..len).step_by(4) {
        let said = answer(machine, &format!("vm probe 1 {function}+{offset}"))?;
        attached += usize::from(said.contains("link "));
    }
    Ok(attached)
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn interrupts_and_idleness_are_probed_instruction_by_instruction() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    for (function, len) in [("gic_handle_irq", 0x180), ("cpu_do_idle", 0x40)] {
        let attached = attach_all(&mut machine, function, len)?;
        assert!(attached > 8, "{attached} of {function}");
    }
    // What asks for the interrupt, and is not answered, asks for ever.
    check_workload(&mut machine)?;
    in_guest(&mut machine, "sleep 1")?;
    let table = machine.command("vm probes 1")?;
    let seen = table.lines().filter(|line| line.ends_with("0  Armed"));
    // Those at places that are never executed have seen nothing.
    assert!(seen.count() > 16, "{table}");
    assert_eq!(statistic(&mut machine, "errors")?, 0);
    detach_all(&mut machine)?;
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn frames_are_pushed_without_steps() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    // mov x9, x30; nop; paciasp; stp x29, x30, [sp, #-n]!
    for (offset, steps) in [(0, 0), (4, 0), (8, KILLS), (12, 0)] {
        let before = statistic(&mut machine, "steps")?;
        let link = attach(&mut machine, &format!("__arm64_sys_kill+{offset}"))?;
        check_workload(&mut machine)?;
        assert_eq!(counts(&mut machine, link)?, Counts::all_of(KILLS));
        assert_eq!(statistic(&mut machine, "steps")? - before, steps);
        detach_all(&mut machine)?;
    }
    machine.shut_down()
}
