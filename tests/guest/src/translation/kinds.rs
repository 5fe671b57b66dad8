//! What came of the checks, for each kind of tables.

use super::plan::{Granule, Plan, Range};
use crate::{console::println, hypercall::TranslationTally};

/// How many levels tables can start on.
const LEVELS: usize = 5;
/// The lowest of them.
const LOWEST: i64 = -1;

/// Tallies of the checks.
#[derive(Default)]
pub(crate) struct Kinds {
    /// By granule, by `TCR_EL1.DS`, and by the level of the first table.
    tables: [[[TranslationTally; LEVELS]; 2]; Granule::ALL.len()],
    /// Without translation.
    off: TranslationTally,
}

impl Kinds {
    /// Adds what came of checking addresses of `range`, one of `plan`.
    pub(crate) fn add(&mut self, plan: &Plan, range: &Range, tally: &TranslationTally) {
        let level = (range.first_level() - LOWEST) as usize;
        let kind = match plan.enabled {
            0 => &mut self.off,
            _ => &mut self.tables[range.granule as usize][plan.large as usize][level],
        };
        kind.add(tally);
    }

    /// Says what came of each kind that there was, and of all together.
    pub(crate) fn tell(&self) {
        println!("translation: off: {}", self.off);
        let mut all = self.off;
        for (granule, kinds) in Granule::ALL.iter().zip(&self.tables) {
            for (large, kinds) in kinds.iter().enumerate() {
                for (tally, level) in kinds.iter().zip(LOWEST..) {
                    if tally.checked + tally.undecided != 0 {
                        println!("translation: {granule:?} ds {large} from level {level}: {tally}");
                    }
                    all.add(tally);
                }
            }
        }
        println!("translation: all: {all}");
        println!(
            "translation: compared for reads and writes, of the kernel and of programs; not for fetches"
        );
        println!("translation: done");
    }
}
