//! Single instructions, one after the other.

use anyhow::Result;
use axebpf_e2e::Counts;

use crate::{
    fight::Fight,
    text::{ADD, Branches, MODES, TEXT, is_in_sight, piece},
};

/// Adds to `wrong` what the guest says with probes but not without.
pub(crate) fn note_differences(
    mode: &str,
    plain: &[String],
    probed: &[String],
    wrong: &mut Vec<String>,
) {
    if plain.len() != probed.len() {
        wrong.push(format!("{mode}: {} of {} lines", probed.len(), plain.len()));
    }
    for (plain, probed) in plain.iter().zip(probed) {
        if plain != probed {
            wrong.push(format!("{mode}\n  {plain}\n  {probed}"));
        }
    }
}

/// Each case ends as it does without probes, in each mode.
fn compare_cases(cpu: &str) -> Result<()> {
    let mut fight = Fight::begin(cpu)?;
    let mut wrong = Vec::new();
    let plain = fight.guest("cases")?;
    assert!(plain.len() > 1000, "{plain:#?}");
    // Branches that do not land.
    let missed = plain.iter().filter(|line| line.contains(" esr 3600000"));
    let expected = match fight.branches {
        Branches::Land => 142,
        Branches::Free => 0,
    };
    assert_eq!(missed.count(), expected, "{plain:#?}");
    for mode in MODES {
        let before = fight.statistic("withdrawn")?;
        fight.attach_all(mode)?;
        let probed = fight.guest("cases")?;
        note_differences(mode, &plain, &probed, &mut wrong);
        let hit = fight.links_hit()?;
        assert!(hit >= 44, "{mode}: {hit} links are hit");
        // What stores into its own page, with the trap in it.
        let is_withdrawn = fight.statistic("withdrawn")? > before;
        assert_eq!(is_withdrawn, is_in_sight(mode), "{mode}");
        assert_eq!(fight.statistic("errors")?, 0, "{mode}");
        fight.machine.command("vm unprobe 2")?;
    }
    note_differences("no probes", &plain, &fight.guest("cases")?, &mut wrong);
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    fight.end()
}

#[test]
fn each_case_ends_as_without_probes() -> Result<()> {
    compare_cases("cortex-a72")
}

#[test]
fn each_case_ends_as_without_probes_with_all_extensions() -> Result<()> {
    compare_cases("max,pauth-impdef=on")
}

#[test]
fn all_executions_are_counted() -> Result<()> {
    const TIMES: u64 = 50;
    let mut fight = Fight::begin("cortex-a72")?;
    for mode in MODES {
        let mut links = Vec::new();
        // What is simulated, what is stepped, and what does nothing.
        for number in [0, ADD, 15, 1, 19] {
            links.push(fight.attach(piece(TEXT, number), mode)?);
        }
        let said = fight.guest(&format!("count {TIMES}"))?;
        assert!(said[0].ends_with(" 0 wrong"), "{said:?}");
        for link in &links {
            assert_eq!(fight.counts(*link)?, Counts::all_of(TIMES), "{mode} {link}");
        }
        fight.machine.command("vm unprobe 2")?;
    }
    fight.end()
}

/// The traps of the guest itself have the immediates of probes, and are the guest's, whatever is probed around them.
#[test]
fn traps_with_the_immediates_of_probes_are_the_guests() -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    let plain = fight.guest("foreign")?;
    // All of the `BRK`s are taken by the guest; the hypervisor returns from a call that it does not know.
    let brks = plain.iter().filter(|line| line.contains("esr f200ebbf"));
    assert_eq!(brks.count(), 4, "{plain:#?}");
    let rest = plain.iter().filter(|line| line.contains("esr f2000001"));
    assert_eq!(rest.count(), 4, "{plain:#?}");
    let mut wrong = Vec::new();
    for mode in MODES {
        fight.attach_all(mode)?;
        note_differences(mode, &plain, &fight.guest("foreign")?, &mut wrong);
        assert_eq!(fight.statistic("errors")?, 0, "{mode}");
        fight.machine.command("vm unprobe 2")?;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fight.end()
}
