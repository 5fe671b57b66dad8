//! `map dump`.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use axebpf_maps::RingBuf;

use super::Subject;
use crate::shell::{
    CommandResult, Session,
    args::Args,
    complaint::{Complaint, counted},
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
    let value = args.peek_option("--value").map(Into::into);
    let pace = Pace::take(session, &mut args)?;
    let subject = Subject::take(session, &mut args)?;
    args.end()?;
    let map = subject.map.clone();
    match map.ring() {
        Some(_) if hist => Err(Complaint::new("a ring buffer is no histogram")),
        Some(ring) => stream(session, ring, value, pace),
        None if hist => histogram(session, &subject),
        None => entries(session, &subject, pace),
    }
}

fn entries(session: &mut Session<'_>, subject: &Subject, mut pace: Pace) -> CommandResult {
    let mut table = new_table(subject);
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
        table.row(row(subject, &key, &entry));
        if table.len() == BATCH {
            table.write(&mut session.out())?;
            table = new_table(subject);
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

fn row(subject: &Subject, key: &[u8], entry: &[u8]) -> Vec<String> {
    let mut row = vec![subject.key.show(key)];
    if subject.map.kind().is_per_cpu() {
        let sum = subject.sum(entry);
        row.push(sum.map_or_else(|| "-".into(), |sum| sum.to_string()));
    }
    row.push(subject.show_entry(entry));
    row
}

fn new_table(subject: &Subject) -> Table {
    if subject.map.kind().is_per_cpu() {
        Table::new(&[
            ("KEY", Align::Right),
            ("SUM", Align::Right),
            ("CPU=VALUE", Align::Left),
        ])
    } else {
        Table::new(&[("KEY", Align::Right), ("VALUE", Align::Left)])
    }
}

fn histogram(session: &mut Session<'_>, subject: &Subject) -> CommandResult {
    let mut slots = Vec::new();
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
        if index != slots.len() as u64 || index >= 64 {
            return Err(Complaint::new(no_histogram(subject))
                .hint("--hist needs an array of at most 64 numbers"));
        }
        slots.push(count);
    }
    hist::draw_log2(&mut session.out(), &slots, Slots::FloorOfLog, "value")?;
    Ok(())
}

fn no_histogram(subject: &Subject) -> String {
    format!("{} is no histogram", subject.map.name())
}

fn stream(
    session: &mut Session<'_>,
    ring: &RingBuf,
    value: Option<String>,
    mut pace: Pace,
) -> CommandResult {
    let mut shown = 0u64;
    loop {
        let mut ended = false;
        while pace.admit() {
            let Some(record) = take_record(ring)? else {
                pace.put_back();
                ended = true;
                break;
            };
            shown += 1;
            let layout = Layout::choose(value.as_deref(), record.len())?;
            writeln!(session.out(), "{}", layout.show(&record))?;
            if session.io.interrupted() {
                return Ok(());
            }
        }
        if !ended || !pace.is_limited() || !pace.go_on(session) {
            break;
        }
    }
    let (dropped, abandoned) = (ring.dropped(), ring.abandoned());
    writeln!(
        session.out(),
        "({}; {dropped} dropped and {abandoned} abandoned so far)",
        counted(shown, "record")
    )?;
    Ok(())
}

/// Takes one record out. Nobody is the consumer while the record is written to the console.
fn take_record(ring: &RingBuf) -> Result<Option<Vec<u8>>, Complaint> {
    let mut consumer = ring.consumer()?;
    Ok(consumer.next_record()?.map(<[u8]>::to_vec))
}
