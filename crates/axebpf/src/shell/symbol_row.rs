//! What `sym` and `gsym` show of symbols.

use alloc::{
    format,
    string::{String, ToString},
    vec,
};
use core::fmt::Write;

use super::{
    CommandResult, Session,
    complaint::{Complaint, shortened},
    table::{Align, Table},
};

/// One symbol, as it is shown.
pub(crate) struct SymbolRow {
    pub(crate) address: u64,
    /// In bytes, or 0 if it is unknown.
    pub(crate) size: u64,
    /// The type letter that `nm` shows.
    pub(crate) kind: char,
    pub(crate) name: String,
}

/// Reads the hex digits of `query`, which is 0x and these.
pub(crate) fn parse_address(query: &str, digits: &str) -> Result<u64, Complaint> {
    u64::from_str_radix(digits, 16).map_err(|_| {
        Complaint::new(format!("`{}` is no address", shortened(query)))
            .hint("an address is 0x and up to 16 hex digits")
    })
}

/// Writes the first `limit` of `rows`, and says so if there are more.
pub(crate) fn show(
    session: &mut Session<'_>,
    rows: impl ExactSizeIterator<Item = SymbolRow>,
    limit: usize,
) -> CommandResult {
    let has_more = rows.len() > limit;
    let mut table = Table::new(&[
        ("ADDRESS", Align::Left),
        ("SIZE", Align::Right),
        ("T", Align::Left),
        ("NAME", Align::Left),
    ]);
    for row in rows.take(limit) {
        table.row(vec![
            format!("{:#018x}", row.address),
            row.size.to_string(),
            row.kind.to_string(),
            row.name,
        ]);
    }
    let mut out = session.out();
    table.write(&mut out)?;
    if has_more {
        writeln!(
            out,
            "(more; the first {limit} are shown: --limit N shows others)"
        )?;
    }
    Ok(())
}
