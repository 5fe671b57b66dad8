//! A machine with the guest in it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Counts, Machine, Options, image_path};

use crate::text::{Branches, Outcome, places};

/// How long the guest may take for what takes a second or two on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// The number of the guest's virtual machine.
const VM: u32 = 2;

/// A machine with a hostile guest beside the usual one.
pub(crate) struct Fight {
    pub(crate) machine: Machine,
    vectors: u64,
    pub(crate) branches: Branches,
}

impl Fight {
    /// Boots both on `cpu`.
    pub(crate) fn begin(cpu: &str) -> Result<Self> {
        let options = Options {
            cpu: cpu.into(),
            ..Options::default()
        };
        let mut machine = Machine::boot(&image_path()?, &options)?;
        machine.command("vm create hostile")?;
        machine.send_line("vm boot 2")?;
        machine.expect("with vectors at 0x", PATIENCE)?;
        let vectors = u64::from_str_radix(machine.expect("\n", PATIENCE)?.trim(), 16)?;
        let branches = match cpu.starts_with("max") {
            true => Branches::Land,
            false => Branches::Free,
        };
        Ok(Self {
            machine,
            vectors,
            branches,
        })
    }

    /// Has the guest do `what`, and returns what it says.
    pub(crate) fn guest(&mut self, what: &str) -> Result<Vec<String>> {
        self.machine.send_line(&format!("vm type 2 {what}"))?;
        let said = self.machine.expect("vm2: hostile: done\n", PATIENCE);
        let said = said.with_context(|| format!("the guest does `{what}`"))?;
        let lines = said.lines().filter_map(|line| line.split_once("vm2: "));
        Ok(lines.map(|(_, line)| line.to_owned()).collect())
    }

    /// Attaches a probe at `at` and returns the number of its link.
    pub(crate) fn attach(&mut self, at: u64, mode: &str) -> Result<u64> {
        self.machine.attach_probe(VM, &format!("{at:#x} {mode}"))
    }

    fn try_attach(&mut self, at: u64, mode: &str) -> Result<String> {
        self.machine.command(&format!("vm probe 2 {at:#x} {mode}"))
    }

    /// Attaches probes in `mode` wherever that is possible, and at the vectors.
    pub(crate) fn attach_all(&mut self, mode: &str) -> Result<()> {
        let vectors = [0, 0x200, 0x400].map(|vector| (self.vectors + vector, Outcome::Attached));
        let mut wrong = Vec::new();
        for (at, outcome) in places(mode, self.branches).into_iter().chain(vectors) {
            let said = self.try_attach(at, mode)?;
            let is_expected = match outcome {
                Outcome::Attached => !said.contains("error"),
                Outcome::Refused(reason) => said.contains("error") && said.contains(reason),
            };
            if !is_expected {
                wrong.push(format!("{at:#x} is not {outcome:?}: {said}"));
            }
        }
        ensure!(wrong.is_empty(), "{mode}: {}", wrong.join("\n"));
        Ok(())
    }

    /// Returns what link `link` has counted.
    pub(crate) fn counts(&mut self, link: u64) -> Result<Counts> {
        self.machine.probe_counts(VM, link)
    }

    /// Returns how many links have been hit.
    pub(crate) fn links_hit(&mut self) -> Result<usize> {
        let links = self.machine.probes(VM)?;
        Ok(links.iter().filter(|(_, counts)| counts.hits > 0).count())
    }

    /// Returns the number behind `name` in what the hypervisor counts about all probes.
    pub(crate) fn statistic(&mut self, name: &str) -> Result<u64> {
        self.machine.probe_statistic(VM, name)
    }

    /// Returns how many checks the usual guest has made, none of which went wrong.
    fn checks(&mut self) -> Result<u64> {
        let list = self.machine.command("vm list")?;
        let row = list.lines().find(|line| line.contains(" demo "));
        let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
        ensure!(words.len() == 7 && words[6] == "0", "{list}");
        Ok(words[5].parse()?)
    }

    /// Checks that the hypervisor and the usual guest go on, and ends.
    pub(crate) fn end(mut self) -> Result<()> {
        let before = self.checks()?;
        for _ in 0..100 {
            if self.checks()? > before {
                return self.machine.shut_down();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the usual guest stands still");
    }
}
