//! Programs at the probes.

use anyhow::{Result, ensure};

use crate::{
    cases::note_differences,
    fight::Fight,
    text::{ADD, MODES, TEXT, piece},
};

#[test]
fn programs_walk_stacks_that_lead_nowhere() -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    let plain = fight.guest("cases")?;
    fight.machine.command("prog load stack_count")?;
    let mut wrong = Vec::new();
    for mode in MODES {
        for number in [0, 1, ADD] {
            let at = piece(TEXT, number);
            let attach = format!("link attach stack_count kprobe:vm2:{at:#x} --mode {mode}");
            let said = fight.machine.command(&attach)?;
            ensure!(said.contains("link "), "{said}");
        }
        // Stacks that lead to themselves, and then through tables that change all the time.
        let probed = fight.guest("cases")?;
        note_differences(mode, &plain, &probed, &mut wrong);
        let storm = fight.guest("storm 200")?;
        assert_eq!(storm[0], "storm: 200 times, 0 wrong", "{mode}");
        let said = fight.machine.command("link detach stack_count")?;
        let runs = said
            .lines()
            .filter_map(|line| line.split_once(" runs")?.0.split_whitespace().last());
        let runs: u64 = runs.filter_map(|number| number.parse::<u64>().ok()).sum();
        assert!(runs > 100, "{mode}: {said}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fight.end()
}
