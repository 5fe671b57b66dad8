//! Call stacks.

use alloc::{format, string::String, vec, vec::Vec};

use super::Subject;
use crate::shell::{
    CommandResult, Session,
    table::{Align, Table},
};
#[cfg(feature = "symbols")]
use crate::{Origin, names::NameForm, shell::names::name_of};

/// Makes a table for several stacks, each with its number.
pub(super) fn new_table(session: &Session<'_>, subject: &Subject) -> Table {
    let mut columns = vec![("ID", Align::Right), ("ADDRESS", Align::Left)];
    columns.extend(symbol_column(session, subject));
    Table::new(&columns)
}

/// The rows of one stack: a frame in each, the innermost first. The first has the number.
pub(super) fn rows(
    session: &Session<'_>,
    subject: &Subject,
    id: &[u8],
    entry: &[u8],
) -> Vec<Vec<String>> {
    let mut id = Some(subject.key.show(id));
    cells(session, subject, entry)
        .map(|cells| {
            let mut row = vec![id.take().unwrap_or_default()];
            row.extend(cells);
            row
        })
        .collect()
}

/// Shows one stack.
pub(super) fn show(session: &mut Session<'_>, subject: &Subject, entry: &[u8]) -> CommandResult {
    let mut columns = vec![("ADDRESS", Align::Left)];
    columns.extend(symbol_column(session, subject));
    let mut table = Table::new(&columns);
    let rows: Vec<_> = cells(session, subject, entry).collect();
    rows.into_iter().for_each(|row| table.row(row));
    table.write(&mut session.out())?;
    Ok(())
}

/// The return addresses of a stack, without the zeroes after the outermost one.
fn frames(entry: &[u8]) -> impl Iterator<Item = u64> {
    let (frames, _) = entry.as_chunks();
    frames
        .iter()
        .map(|frame| u64::from_ne_bytes(*frame))
        .take_while(|frame| *frame != 0)
}

/// Whether an address is that of an instruction, or of what follows a call.
#[derive(Clone, Copy)]
enum Place {
    Innermost,
    Caller,
}

/// The cells of each frame: its address, and its name where there are symbols.
fn cells<'s>(
    session: &'s Session<'_>,
    subject: &'s Subject,
    entry: &'s [u8],
) -> impl Iterator<Item = Vec<String>> {
    let places = core::iter::once(Place::Innermost).chain(core::iter::repeat(Place::Caller));
    frames(entry).zip(places).map(move |(frame, place)| {
        let mut cells = vec![format!("{frame:#018x}")];
        if symbol_column(session, subject).is_some() {
            cells.push(symbol(session, subject, frame, place));
        }
        cells
    })
}

#[cfg(feature = "symbols")]
fn symbol_column(session: &Session<'_>, subject: &Subject) -> Option<(&'static str, Align)> {
    let is_of_guest = |origin: &Origin| matches!(origin, Origin::Guest(_));
    let has_names = session.shell.symbols.is_some() || subject.origins.iter().any(is_of_guest);
    has_names.then_some(("SYMBOL", Align::Left))
}

#[cfg(feature = "symbols")]
fn symbol(session: &Session<'_>, subject: &Subject, frame: u64, place: Place) -> String {
    let form = match place {
        Place::Innermost => NameForm::Whole,
        Place::Caller => NameForm::Return,
    };
    name_of(session, &subject.origins, frame, form).unwrap_or_else(|| "-".into())
}

#[cfg(not(feature = "symbols"))]
fn symbol_column(_: &Session<'_>, _: &Subject) -> Option<(&'static str, Align)> {
    None
}

#[cfg(not(feature = "symbols"))]
fn symbol(_: &Session<'_>, _: &Subject, _: u64, _: Place) -> String {
    String::new()
}
