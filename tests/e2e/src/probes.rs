//! The probes on a guest that only count: what `vm probe` and `vm probes` say.

use anyhow::{Context, Result};

use crate::Machine;

/// What a link has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Executions that were begun.
    pub hits: u64,
    /// Those that were completed.
    pub retired: u64,
    /// Those that nobody was told of.
    pub missed: u64,
}

impl Counts {
    /// Returns what a link counts that saw `count` executions, all of which were completed.
    #[must_use]
    pub fn all_of(count: u64) -> Self {
        Self {
            hits: count,
            retired: count,
            missed: 0,
        }
    }
}

impl Machine {
    /// Attaches a probe to the guest of virtual machine `vm` and returns the number of its link. `probe` is a place,
    /// and a mode if it is to have one.
    ///
    /// # Errors
    ///
    /// When there is no link after that, with what the shell said, or when the prompt does not come back in time.
    pub fn attach_probe(&mut self, vm: u32, probe: &str) -> Result<u64> {
        let said = self.command(&format!("vm probe {vm} {probe}"))?;
        let link = said
            .lines()
            .find_map(|line| line.strip_prefix("link ")?.split_once(':'));
        let (number, _) = link.with_context(|| format!("`vm probe {vm} {probe}` said\n{said}"))?;
        Ok(number.parse()?)
    }

    /// Returns what link `link` on the guest of virtual machine `vm` has counted.
    ///
    /// # Errors
    ///
    /// When there is no such link, or when the prompt does not come back in time.
    pub fn probe_counts(&mut self, vm: u32, link: u64) -> Result<Counts> {
        let links = self.probes(vm)?;
        let counts = links.iter().find(|(number, _)| *number == link);
        let (_, counts) = counts.with_context(|| format!("no link {link} in {links:?}"))?;
        Ok(*counts)
    }

    /// Returns the numbers of all links on the guest of virtual machine `vm`, with what they have counted.
    ///
    /// # Errors
    ///
    /// When the prompt does not come back in time.
    pub fn probes(&mut self, vm: u32) -> Result<Vec<(u64, Counts)>> {
        let table = self.command(&format!("vm probes {vm}"))?;
        let links = table.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
            let link = numbers.next()?;
            let counts = Counts {
                hits: numbers.next()?,
                retired: numbers.next()?,
                missed: numbers.next()?,
            };
            Some((link, counts))
        });
        Ok(links.collect())
    }

    /// Returns the number behind `name` among what is counted about all probes on the guest of virtual machine `vm`.
    ///
    /// # Errors
    ///
    /// When there is no such number, or when the prompt does not come back in time.
    pub fn probe_statistic(&mut self, vm: u32, name: &str) -> Result<u64> {
        let said = self.command(&format!("vm probes {vm}"))?;
        let value = said.split_once(&format!(" {name}: ")).map(|(_, rest)| rest);
        let value = value.with_context(|| format!("no {name} in\n{said}"))?;
        let digits = value.split(|c: char| !c.is_ascii_digit()).next();
        Ok(digits.unwrap_or_default().parse()?)
    }
}
