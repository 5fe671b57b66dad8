//! `trace stat`.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use axebpf_tp::TracepointInfo;

use super::matching;
use crate::shell::{
    CommandResult, Session,
    args::Args,
    command::Command,
    hist::{self, Slots},
    table::{Align, Table},
};

pub(super) const COMMAND: Command = Command {
    name: "stat",
    usage: "trace stat [GLOB] [--hist] [--reset]",
    summary: "shows how often tracepoints fired, and how long things took",
    details: "\
Counted since the tracepoint was first enabled. Without GLOB, those that fired.
--hist draws the durations of the events that have some. --reset starts the
counts over after showing them.",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let (hist, reset) = (args.flag("--hist"), args.flag("--reset"));
    let glob = args.maybe()?;
    args.end()?;
    let mut infos = matching(glob)?;
    if glob.is_none() {
        infos.retain(|info| info.event.stats().count != 0 || info.missed != 0);
    }
    if infos.is_empty() {
        session
            .io
            .write("nothing was counted; `trace enable GLOB` starts it\n");
        return Ok(());
    }
    write_table(session, &infos)?;
    if hist {
        write_histograms(session, &infos)?;
    }
    if reset {
        infos.iter().for_each(|info| info.event.reset_stats());
    }
    Ok(())
}

fn write_table(session: &mut Session<'_>, infos: &[TracepointInfo]) -> CommandResult {
    let mut table = Table::new(&[
        ("EVENT", Align::Left),
        ("COUNT", Align::Right),
        ("MISSED", Align::Right),
        ("LAST", Align::Right),
        ("MIN", Align::Right),
        ("AVG", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
        ("MAX", Align::Right),
    ]);
    for info in infos {
        let stats = info.event.stats();
        let durations = &stats.durations;
        let mut row = vec![
            info.name.clone(),
            stats.count.to_string(),
            info.missed.to_string(),
        ];
        row.push(if stats.count == 0 {
            "-".into()
        } else {
            seconds(stats.last_ns)
        });
        let columns = [
            durations.min_ns(),
            durations.mean_ns(),
            durations.percentile_ns(50),
            durations.percentile_ns(99),
            durations.max_ns(),
        ];
        row.extend(columns.map(|ns| ns.map_or_else(|| "-".into(), short)));
        table.row(row);
    }
    table.write(&mut session.out())?;
    Ok(())
}

fn write_histograms(session: &mut Session<'_>, infos: &[TracepointInfo]) -> CommandResult {
    let stats = infos.iter().map(|info| (info, info.event.stats()));
    let timed: Vec<_> = stats
        .filter(|(_, stats)| stats.durations.count() != 0)
        .collect();
    let mut out = session.out();
    if timed.is_empty() {
        writeln!(out, "\nnone of these has durations")?;
    }
    for (info, stats) in timed {
        writeln!(out, "\n{}", info.name)?;
        let buckets = stats.durations.buckets();
        hist::draw_log2(&mut out, buckets, Slots::BitLength, "nanoseconds")?;
        let unpaired = stats.count.saturating_sub(stats.durations.count());
        if unpaired != 0 {
            writeln!(out, "  ({unpaired} more whose start was not seen)")?;
        }
    }
    Ok(())
}

/// Writes a time in seconds, to the millisecond.
fn seconds(ns: u64) -> String {
    let millis = ns / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Writes a duration in at most five characters and its unit.
fn short(ns: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1000),
        ("ns", 1),
    ];
    let (unit, scale) = UNITS
        .into_iter()
        .find(|(_, scale)| ns >= *scale)
        .unwrap_or(("ns", 1));
    let (whole, tenths) = (ns / scale, ns % scale * 10 / scale);
    if whole < 10 && scale > 1 {
        format!("{whole}.{tenths}{unit}")
    } else {
        format!("{whole}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.0us"),
            (9_999, "9.9us"),
            (10_000, "10us"),
            (1_500_000, "1.5ms"),
            (59_000_000_000, "59s"),
        ] {
            assert_eq!(short(ns), text);
        }
        assert_eq!(seconds(1_234_567_890), "1.234");
    }
}
