//! A guest that does its worst to whoever probes it: whatever it does, it sees what it would see without probes, the
//! hypervisor goes on, and so does the other guest.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, Options, image_path};

/// How long the guest may take for what takes a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(100);

/// All modes.
const MODES: [&str; 4] = ["hidden-brk", "stage2-fault", "brk", "hvc"];

/// Where the guest's text is: one piece every 32 bytes.
const TEXT: u64 = 0x4060_0000;
/// Text that programs execute, too.
const SHARED_TEXT: u64 = 0x4060_7000;
/// Text that is mapped now here, now there.
const MOVING: u64 = 0x4060_9000;
/// Text with data in the same page.
const MIXED: u64 = 0x4060_c800;
/// The number of the piece that adds.
const ADD: u64 = 6;
/// The number of the first piece whose third instruction is the one that matters.
const UNTRANSLATED: u64 = 30;
/// The number of the first piece that has a trap of its own.
const FOREIGN: u64 = 32;
/// The number of the piece that the guest writes over.
const REWRITTEN: u64 = 34;

/// A machine with a hostile guest beside the usual one.
struct Fight {
    machine: Machine,
    vectors: u64,
}

impl Fight {
    fn begin(cpu: &str) -> Result<Self> {
        let options = Options {
            cpu: cpu.into(),
            ..Options::default()
        };
        let mut machine = Machine::boot(&image_path()?, &options)?;
        machine.command("vm create hostile")?;
        machine.send_line("vm boot 2")?;
        machine.expect("with vectors at 0x", PATIENCE)?;
        let vectors = u64::from_str_radix(machine.expect("\n", PATIENCE)?.trim(), 16)?;
        Ok(Self { machine, vectors })
    }

    /// Has the guest do `what`, and returns what it says.
    fn guest(&mut self, what: &str) -> Result<Vec<String>> {
        self.machine.send_line(&format!("vm type 2 {what}"))?;
        let said = self.machine.expect("vm2: hostile: done\n", PATIENCE);
        let said = said.with_context(|| format!("the guest does `{what}`"))?;
        let lines = said.lines().filter_map(|line| line.split_once("vm2: "));
        Ok(lines.map(|(_, line)| line.to_owned()).collect())
    }

    /// Attaches a probe at `at` and returns the number of its link.
    fn attach(&mut self, at: u64, mode: &str) -> Result<String> {
        let said = self.try_attach(at, mode)?;
        let link = said
            .lines()
            .find_map(|line| line.strip_prefix("link ")?.split_once(':'));
        let (number, _) = link.with_context(|| format!("a {mode} probe at {at:#x}: {said}"))?;
        Ok(number.to_owned())
    }

    fn try_attach(&mut self, at: u64, mode: &str) -> Result<String> {
        self.machine.command(&format!("vm probe 2 {at:#x} {mode}"))
    }

    /// Attaches probes in `mode` at all pieces that can be probed, and at the vectors. Returns how many.
    fn attach_all(&mut self, mode: &str) -> Result<usize> {
        // In plain sight, what the guest writes over a trap is the guest's.
        let last = match mode {
            "hidden-brk" | "stage2-fault" => REWRITTEN + 1,
            _ => FOREIGN,
        };
        let offset = |piece| {
            32 * piece
                + if (UNTRANSLATED..FOREIGN).contains(&piece) {
                    8
                } else {
                    0
                }
        };
        let pieces = (0..last).map(|piece| TEXT + offset(piece));
        // `HVC` is no instruction to programs.
        let shared_end = if mode == "hvc" { 0 } else { UNTRANSLATED };
        let shared = (0..shared_end).map(|piece| SHARED_TEXT + offset(piece));
        let vectors = [0, 0x200, 0x400].map(|vector| self.vectors + vector);
        let mut attached = 0;
        for at in pieces.chain(shared).chain(vectors) {
            let said = self.try_attach(at, mode)?;
            if said.contains("error") {
                ensure!(said.contains("cannot be probed"), "{said}");
            } else {
                attached += 1;
            }
        }
        Ok(attached)
    }

    /// Returns hits, completed executions and missed ones of link `link`.
    fn counts(&mut self, link: &str) -> Result<Vec<u64>> {
        let table = self.machine.command("vm probes 2")?;
        let row = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&link));
        let row = row.with_context(|| format!("no link {link} in\n{table}"))?;
        row[1..4].iter().map(|word| Ok(word.parse()?)).collect()
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
    fn end(mut self) -> Result<()> {
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

/// Adds to `wrong` what the guest says with probes but not without.
fn note_differences(mode: &str, plain: &[String], probed: &[String], wrong: &mut Vec<String>) {
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
    for (cases, modes) in [("cases", &MODES[..2]), ("cases-elsewhere", &MODES[2..])] {
        let plain = fight.guest(cases)?;
        assert!(plain.len() > 700, "{plain:#?}");
        for mode in modes {
            let attached = fight.attach_all(mode)?;
            assert!(attached > 25, "{mode}: {attached}");
            let probed = fight.guest(cases)?;
            note_differences(mode, &plain, &probed, &mut wrong);
            fight.machine.command("vm unprobe 2")?;
        }
        note_differences("no probes", &plain, &fight.guest(cases)?, &mut wrong);
    }
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
        for piece in [0, ADD, 15, 1, 19] {
            links.push(fight.attach(TEXT + 32 * piece, mode)?);
        }
        let said = fight.guest(&format!("count {TIMES}"))?;
        assert!(said[0].ends_with(" 0 wrong"), "{said:?}");
        for link in &links {
            assert_eq!(fight.counts(link)?, [TIMES, TIMES, 0], "{mode} {link}");
        }
        fight.machine.command("vm unprobe 2")?;
    }
    fight.end()
}

/// Has the guest do `what` in all modes with a probe at `at`, and checks that nothing goes wrong.
fn duel(what: &str, at: u64) -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    let plain = fight.guest(what)?;
    assert!(plain[0].contains(" 0 wrong"), "without probes: {plain:?}");
    for mode in MODES {
        let link = fight.attach(at, mode)?;
        let probed = fight.guest(what)?;
        assert_eq!(probed, plain, "{mode}");
        fight.counts(&link)?;
        fight.machine.command("vm unprobe 2")?;
    }
    assert_eq!(fight.guest(what)?, plain, "after probes");
    fight.end()
}

#[test]
fn text_is_written_over_while_it_is_executed() -> Result<()> {
    duel("rewrite 300", TEXT + 32 * REWRITTEN)
}

#[test]
fn text_is_mapped_elsewhere_while_it_is_executed() -> Result<()> {
    duel("remap 300", MOVING + 32 * ADD)
}

#[test]
fn tables_change_under_the_walker() -> Result<()> {
    duel("storm 500", TEXT + 32)
}

#[test]
fn data_is_written_in_a_page_of_text() -> Result<()> {
    duel("share 100", MIXED + 32 * ADD)
}

#[test]
fn a_vcpu_is_switched_off_and_on() -> Result<()> {
    const TIMES: u64 = 20;
    let mut fight = Fight::begin("cortex-a72")?;
    for mode in MODES {
        let link = fight.attach(TEXT + 32 * ADD, mode)?;
        let said = fight.guest(&format!("reset {TIMES}"))?;
        assert_eq!(
            said[0],
            format!("reset: {} times, 0 wrong", 10 * TIMES),
            "{mode}"
        );
        let all = 10 * TIMES;
        assert_eq!(fight.counts(&link)?, [all, all, 0], "{mode}");
        fight.machine.command("vm unprobe 2")?;
    }
    fight.end()
}

#[test]
fn programs_walk_stacks_that_lead_nowhere() -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    let plain = fight.guest("cases-elsewhere")?;
    fight.machine.command("prog load stack_count")?;
    let mut wrong = Vec::new();
    for mode in MODES {
        for piece in [0, 1, ADD] {
            let at = TEXT + 32 * piece;
            let attach = format!("link attach stack_count kprobe:vm2:{at:#x} --mode {mode}");
            let said = fight.machine.command(&attach)?;
            ensure!(said.contains("link "), "{said}");
        }
        // Stacks that lead to themselves, and then through tables that change all the time.
        let probed = fight.guest("cases-elsewhere")?;
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

#[test]
fn a_guest_that_cannot_go_on_stops_alone() -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    fight.attach(TEXT, "auto")?;
    fight.machine.send_line("vm type 2 device")?;
    fight.machine.expect("the VM stops\n", PATIENCE)?;
    let said = fight.machine.command("vm probes 2")?;
    assert!(said.contains("errors: 0"), "{said}");
    // The message comes just before.
    for _ in 0..100 {
        let list = fight.machine.command("vm list")?;
        if list.contains("hostile          stopped") {
            return fight.end();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("the guest goes on");
}
