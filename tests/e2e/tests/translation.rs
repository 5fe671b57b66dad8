//! The walker of guests' translation tables against the processor's own translation.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, Options, image_path};

/// How long the checks may take, which are done in a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `-cpu max` can do, and `-cpu cortex-a72` cannot.
const FEATURES: [&str; 8] = [
    "pages_16k",
    "large_virtual",
    "lpa2_4k",
    "lpa2_16k",
    "small_tables",
    "closed_ranges",
    "flat_attributes",
    "sets_access_flag",
];

/// A kind of tables: the granule, `TCR_EL1.DS`, and the levels that the first table can be on.
type Kind = (&'static str, u32, &'static [i32]);

/// What there is with all features (ARM ARM D8.2): with small tables, each granule can start on level 3.
const ALL_KINDS: [Kind; 6] = [
    ("K4", 0, &[0, 1, 2, 3]),
    ("K4", 1, &[-1, 0, 1, 2, 3]),
    ("K16", 0, &[0, 1, 2, 3]),
    ("K16", 1, &[0, 1, 2, 3]),
    ("K64", 0, &[1, 2, 3]),
    ("K64", 1, &[1, 2, 3]),
];
/// What there is without: 25 bits of addresses are the fewest.
const PLAIN_KINDS: [Kind; 2] = [("K4", 0, &[0, 1, 2]), ("K64", 0, &[1, 2, 3])];

/// What the guest says came of some checks.
struct Tally<'a>(&'a str);

impl Tally<'_> {
    /// Returns the number before `what` in a list such as `3 checked, 2 mapped`.
    fn number(&self, what: &str) -> Result<u64> {
        let mut parts = self.0.split(',');
        let part = parts.find_map(|part| part.trim().strip_suffix(what));
        let part = part.with_context(|| format!("nothing is {what} in `{}`", self.0))?;
        Ok(part.trim().parse()?)
    }
}

/// Has a guest try all kinds of tables on `cpu`, and returns what it says by what that is about.
fn tallies(cpu: &str) -> Result<BTreeMap<String, String>> {
    let options = Options {
        cpu: cpu.into(),
        ..Options::default()
    };
    let mut machine = Machine::boot(&image_path()?, &options)?;
    machine.command("vm create translation vcpus 1")?;
    machine.send_line("vm boot 2")?;
    let said = machine.expect("translation: done", PATIENCE)?;
    machine.shut_down()?;
    let lines = said.lines().filter_map(|line| {
        let (_, said) = line.split_once("translation: ")?;
        said.trim().split_once(": ")
    });
    Ok(lines
        .map(|(about, tally)| (about.to_owned(), tally.to_owned()))
        .collect())
}

/// Checks that walker and processor agree on `cpu`, on which there are all of `FEATURES` if `has` is `true`, otherwise
/// none of them, and these `kinds` of tables, no more and no less.
fn check(cpu: &str, has: &str, kinds: &[Kind]) -> Result<()> {
    let tallies = tallies(cpu)?;
    let of = |about: &str| {
        let tally = tallies
            .get(about)
            .with_context(|| format!("nothing of {about} in {tallies:#?}"));
        tally.map(|tally| Tally(tally))
    };
    let features = of("features")?.0;
    for feature in FEATURES {
        assert!(
            features.contains(&format!("{feature}: {has}")),
            "{features}"
        );
    }
    let mut compared = 0;
    for &(granule, large, levels) in kinds {
        for level in levels {
            let about = format!("{granule} ds {large} from level {level}");
            assert!(of(&about)?.number("mapped")? > 0, "{about}: {tallies:#?}");
            compared += 1;
        }
    }
    let told = tallies
        .keys()
        .filter(|about| about.contains(" from level "));
    assert_eq!(told.count(), compared, "{tallies:#?}");
    // A processor without large addresses is not asked what it does without translation.
    assert_eq!(of("off")?.number("mapped")? > 0, has == "true");
    let all = of("all")?;
    assert_eq!(all.number("wrong")?, 0, "{tallies:#?}");
    let checked = all.number("checked")?;
    assert!(checked > 50_000, "{}", all.0);
    // Both what succeeds and what fails is compared, for all reasons, and little is left out.
    assert!(all.number("mapped")? > checked / 5, "{}", all.0);
    assert!(all.number("outside")? > checked / 50, "{}", all.0);
    assert!(all.number("undecided")? < checked / 4, "{}", all.0);
    assert_eq!(all.number("closed")? > 100, has == "true", "{}", all.0);
    Ok(())
}

#[test]
fn the_walker_agrees_with_the_processor_on_all_kinds_of_tables() -> Result<()> {
    check("max,pauth-impdef=on", "true", &ALL_KINDS)
}

#[test]
fn the_walker_agrees_with_a_processor_without_extensions() -> Result<()> {
    check("cortex-a72", "false", &PLAIN_KINDS)
}
