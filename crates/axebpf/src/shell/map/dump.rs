//! `map dump`.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use axebpf_maps::MapKind;

use super::{
    keyless, records, slots, stacks,
    subject::{Subject, has_own_form},
};
#[cfg(feature = "symbols")]
use crate::names::NameForm;
use crate::shell::{
    CommandResult, Session,
    args::Args,
    complaint::Complaint,
    hist::{self, Slots},
    layout::Layout,
    stream::Pace,
    table::{Align, Table},
};

/// The entries of one table: columns line up within it, and an interrupt is looked for after it.
const BATCH: usize = 128;

/// The most entries that are shown in the order of their keys.
const SORTED: usize = 4096;

pub(super) fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let hist = args.flag("--hist");
    let value: Option<String> = args.peek_option("--value").map(Into::into);
    let pace = Pace::take(session, &mut args)?;
    let subject = Subject::take(session, &mut args)?;
    args.end()?;
    if hist {
        return histogram(session, &subject);
    }
    match records::Source::of(&subject.map) {
        Some(mut source) => records::stream(session, &mut source, value.as_deref(), pace),
        None if subject.key_size() == 0 => keyless::dump(session, &subject),
        None => entries(session, &subject, pace),
    }
}

fn entries(session: &mut Session<'_>, subject: &Subject, mut pace: Pace) -> CommandResult {
    let mut table = new_table(session, subject);
    let mut shown = 0u64;
    let mut keys = subject.map.keys();
    // What does not fit the memory that sorting takes comes as it is.
    let mut first = keys.by_ref().take(SORTED).collect::<Result<Vec<_>, _>>()?;
    first.sort_by_cached_key(|key| subject.key.order(key));
    for key in first.into_iter().map(Ok).chain(keys) {
        let key = key?;
        // An entry that was deleted meanwhile is not there.
        let Some(entry) = subject.map.read(&key)? else {
            continue;
        };
        if !pace.admit() {
            break;
        }
        shown += 1;
        for row in rows(session, subject, &key, &entry)? {
            table.row(row);
        }
        if table.len() >= BATCH {
            table.write(&mut session.out())?;
            table = new_table(session, subject);
            if session.io.interrupted() {
                return Ok(());
            }
        }
    }
    if !table.is_empty() {
        table.write(&mut session.out())?;
    }
    if shown == 0 {
        writeln!(session.out(), "{} has no entries", subject.map.name())?;
    }
    Ok(())
}

/// The rows of one entry.
fn rows(
    session: &Session<'_>,
    subject: &Subject,
    key: &[u8],
    entry: &[u8],
) -> Result<Vec<Vec<String>>, Complaint> {
    let names = |address| name_of(session, subject, address);
    let mut row = vec![subject.key.show_named(key, &names)];
    if slots::are_in(&subject.map) {
        // What was removed meanwhile is not there.
        let held = slots::show(session, &subject.map, key)?;
        row.push(held.unwrap_or_else(|| "-".into()));
        return Ok(vec![row]);
    }
    if subject.map.kind() == MapKind::StackTrace {
        return Ok(stacks::rows(session, subject, key, entry));
    }
    if subject.map.kind().is_per_cpu() {
        let sum = subject.sum(entry);
        row.push(sum.map_or_else(|| "-".into(), |sum| sum.to_string()));
    }
    row.push(subject.show_entry(entry));
    if subject.key.has_names() {
        row.rotate_left(1);
    }
    Ok(vec![row])
}

#[cfg(feature = "symbols")]
fn name_of(session: &Session<'_>, subject: &Subject, address: u64) -> Option<String> {
    crate::shell::names::name_of(session, &subject.origins, address, NameForm::Short)
}

#[cfg(not(feature = "symbols"))]
fn name_of(_: &Session<'_>, _: &Subject, _: u64) -> Option<String> {
    None
}

fn new_table(session: &Session<'_>, subject: &Subject) -> Table {
    match subject.map.kind() {
        MapKind::StackTrace => return stacks::new_table(session, subject),
        MapKind::ProgArray => {
            return Table::new(&[("INDEX", Align::Right), ("PROGRAM", Align::Left)]);
        }
        kind if kind.holds_maps() => {
            return Table::new(&[("KEY", Align::Right), ("MAP", Align::Left)]);
        }
        _ => {}
    }
    match (subject.map.kind().is_per_cpu(), subject.key.has_names()) {
        (true, false) => Table::new(&[
            ("KEY", Align::Right),
            ("SUM", Align::Right),
            ("CPU=VALUE", Align::Left),
        ]),
        (false, false) => Table::new(&[("KEY", Align::Right), ("VALUE", Align::Left)]),
        // Names are long, and the last column is the one that gives way.
        (true, true) => Table::new(&[
            ("SUM", Align::Right),
            ("CPU=VALUE", Align::Left),
            ("KEY", Align::Left),
        ]),
        (false, true) => Table::new(&[("VALUE", Align::Right), ("KEY", Align::Left)]),
    }
}

fn histogram(session: &mut Session<'_>, subject: &Subject) -> CommandResult {
    let mut counts = Vec::new();
    if subject.key_size() == 0 || subject.map.perf().is_some() || has_own_form(&subject.map) {
        return Err(Complaint::new(no_histogram(subject)).hint("--hist needs an array of numbers"));
    }
    for key in subject.map.keys() {
        let key = key?;
        let entry = subject.map.read(&key)?;
        let (index, count) = (
            Layout::guess(4).number(&key),
            entry.and_then(|e| subject.sum(&e)),
        );
        let (Some(index), Some(count)) = (index, count) else {
            return Err(
                Complaint::new(no_histogram(subject)).hint("--hist needs an array of numbers")
            );
        };
        if index != counts.len() as u64 || index >= 64 {
            return Err(Complaint::new(no_histogram(subject))
                .hint("--hist needs an array of at most 64 numbers"));
        }
        counts.push(count);
    }
    hist::draw_log2(&mut session.out(), &counts, Slots::FloorOfLog, "value")?;
    Ok(())
}

fn no_histogram(subject: &Subject) -> String {
    format!("{} is no histogram", subject.map.name())
}
