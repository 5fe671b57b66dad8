//! The guest executes what is probed while it changes it.

use anyhow::Result;
use axebpf_e2e::Counts;

use crate::{
    fight::Fight,
    text::{ADD, LOAD, MIXED, MODES, MOVING, REWRITTEN, TEXT, piece},
};

/// Has the guest do `what` in all modes with a probe at `at`, and checks that nothing goes wrong. Returns what is
/// counted in each mode.
fn duel(what: &str, at: u64) -> Result<[Counts; MODES.len()]> {
    let mut fight = Fight::begin("cortex-a72")?;
    let plain = fight.guest(what)?;
    assert!(plain[0].contains(" 0 wrong"), "without probes: {plain:?}");
    let mut all = [Counts::all_of(0); MODES.len()];
    for (mode, counts) in MODES.into_iter().zip(&mut all) {
        let link = fight.attach(at, mode)?;
        let probed = fight.guest(what)?;
        assert_eq!(probed, plain, "{mode}");
        *counts = fight.counts(link)?;
        println!("{what} {mode}: {counts:?}");
        assert!(counts.retired <= counts.hits, "{mode}: {counts:?}");
        fight.machine.command("vm unprobe 2")?;
    }
    assert_eq!(fight.guest(what)?, plain, "after probes");
    fight.end()?;
    Ok(all)
}

#[test]
fn text_is_written_over_while_it_is_executed() -> Result<()> {
    let [hidden, fault, brk, hvc] = duel("rewrite 300", piece(TEXT, REWRITTEN))?;
    // Some of what is written there cannot be displaced, and is not seen.
    assert!(
        hidden.retired > 50 && fault.retired > 50,
        "{hidden:?} {fault:?}"
    );
    // What is in sight is seen the once that it is executed before it is written over.
    assert_eq!([brk, hvc], [Counts::all_of(1); 2]);
    Ok(())
}

#[test]
fn text_is_mapped_elsewhere_while_it_is_executed() -> Result<()> {
    // About half of the time it is where the probe is.
    for counts in duel("remap 300", piece(MOVING, ADD))? {
        assert!(counts.retired > 75, "{counts:?}");
    }
    Ok(())
}

#[test]
fn tables_change_under_the_walker() -> Result<()> {
    for counts in duel("storm 500", piece(TEXT, LOAD))? {
        // That many of the loads are executed where nothing changes; most of them fault.
        assert!(counts.hits >= 52, "{counts:?}");
    }
    Ok(())
}

#[test]
fn data_is_written_in_a_page_of_text() -> Result<()> {
    let all = duel("share 100", piece(MIXED, ADD))?;
    assert_eq!(all, [Counts::all_of(100); MODES.len()]);
    Ok(())
}

#[test]
fn a_vcpu_is_switched_off_and_on() -> Result<()> {
    const TIMES: u64 = 20;
    let mut fight = Fight::begin("cortex-a72")?;
    for mode in MODES {
        let link = fight.attach(piece(TEXT, ADD), mode)?;
        let said = fight.guest(&format!("reset {TIMES}"))?;
        assert_eq!(
            said[0],
            format!("reset: {} times, 0 wrong", 10 * TIMES),
            "{mode}"
        );
        assert_eq!(fight.counts(link)?, Counts::all_of(10 * TIMES), "{mode}");
        fight.machine.command("vm unprobe 2")?;
    }
    fight.end()
}
