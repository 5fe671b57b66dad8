//! Tables that line up and fit a line of 80 columns.
//!
//! What a build needs of it depends on which commands it has.
#![cfg_attr(
    not(all(feature = "runtime", feature = "tracepoint-support")),
    allow(dead_code)
)]

use alloc::{string::String, vec, vec::Vec};
use core::fmt::{self, Write};

/// The columns of the console that output is laid out for.
pub(crate) const LINE_WIDTH: usize = 80;

/// The least width that the last column is squeezed to before lines grow past the console's width
/// instead.
const MIN_LAST: usize = 16;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// What becomes of a last cell that is too long for its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlong {
    /// It goes on in the next line.
    Wrap,
    /// Its end is left out.
    Cut,
}

/// A table: titles, rows, and a last column that gives way when a line grows too long.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    overlong: Overlong,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            overlong: Overlong::Wrap,
        }
    }

    /// Leaves out the ends of last cells that are too long, so that each row is one line.
    #[cfg_attr(not(feature = "tracepoint-support"), allow(dead_code))]
    pub(crate) fn cut(mut self) -> Self {
        self.overlong = Overlong::Cut;
        self
    }

    /// Adds a row; it has as many cells as the table has columns.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the titles and the rows, two blanks between columns and none at the end of a line.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let widths = self.widths();
        let titles: Vec<&str> = self.columns.iter().map(|(title, _)| *title).collect();
        self.write_line(out, &widths, &titles)?;
        for row in &self.rows {
            self.write_row(out, &widths, row)?;
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| title.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some((last, fixed)) = widths.split_last_mut() {
            let taken: usize = fixed.iter().map(|width| width + 2).sum();
            *last = (*last).min(LINE_WIDTH.saturating_sub(taken).max(MIN_LAST));
        }
        widths
    }

    fn write_row(&self, out: &mut dyn Write, widths: &[usize], row: &[String]) -> fmt::Result {
        let (Some((last, fixed)), Some(&last_width)) = (row.split_last(), widths.last()) else {
            return Ok(());
        };
        let mut cells: Vec<&str> = fixed.iter().map(String::as_str).collect();
        if self.overlong == Overlong::Cut {
            let shown = shortened(last, last_width);
            cells.push(&shown);
            return self.write_line(out, widths, &cells);
        }
        for piece in wrap(last, last_width) {
            cells.push(piece);
            self.write_line(out, widths, &cells)?;
            cells = vec![""; fixed.len()];
        }
        Ok(())
    }

    fn write_line(&self, out: &mut dyn Write, widths: &[usize], cells: &[&str]) -> fmt::Result {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            match align {
                Align::Left => write!(line, "{cell:<width$}  ")?,
                Align::Right => write!(line, "{cell:>width$}  ")?,
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Returns `text`, or as many of its words as fit `width` and three dots.
fn shortened(text: &str, width: usize) -> String {
    const DOTS: &str = "...";
    if text.chars().count() <= width {
        return text.into();
    }
    let kept = wrap(text, width.saturating_sub(DOTS.len()))
        .first()
        .copied()
        .unwrap_or("");
    let mut short = String::from(kept);
    short.push_str(DOTS);
    short
}

/// Cuts `text` into pieces of at most `width` characters, after a blank or a comma where there is
/// one.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((limit, _)) = rest.char_indices().nth(width.max(1)) {
        // A blank that stands just behind the limit ends the piece as well as one before it.
        let next = rest[limit..].chars().next().map_or(0, char::len_utf8);
        let cut = match rest[..limit + next].rfind([' ', ',']) {
            Some(at) if rest[at..].starts_with(' ') && at > 0 => at + 1,
            Some(at) if at > 0 && at < limit => at + 1,
            _ => limit,
        };
        pieces.push(rest[..cut].trim_end());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn drawn(table: &Table) -> String {
        let mut out = String::new();
        table.write(&mut out).unwrap();
        out
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[
            ("ID", Align::Right),
            ("NAME", Align::Left),
            ("MAPS", Align::Left),
        ]);
        table.row(vec!["1".into(), "exit_count".into(), "counts".into()]);
        table.row(vec!["12".into(), "x".into(), String::new()]);
        assert_eq!(
            drawn(&table),
            "ID  NAME        MAPS\n 1  exit_count  counts\n12  x\n"
        );
    }

    #[test]
    fn a_long_last_cell_wraps_under_itself() {
        let mut table = Table::new(&[("ID", Align::Right), ("TEXT", Align::Left)]);
        table.row(vec!["1".into(), "word ".repeat(30).trim_end().to_string()]);
        let drawn = drawn(&table);
        assert!(
            drawn.lines().all(|line| line.len() <= LINE_WIDTH),
            "{drawn}"
        );
        assert!(
            drawn
                .lines()
                .nth(2)
                .is_some_and(|line| line.starts_with("    word")),
            "{drawn}"
        );
        assert_eq!(drawn.matches("word").count(), 30);
    }

    #[test]
    fn a_long_last_cell_can_be_cut() {
        let mut table = Table::new(&[("ID", Align::Right), ("TEXT", Align::Left)]).cut();
        table.row(vec!["1".into(), "word ".repeat(30)]);
        let drawn = drawn(&table);
        assert_eq!(drawn.lines().count(), 2);
        assert!(drawn.ends_with("word...\n"), "{drawn}");
        assert!(
            drawn.lines().all(|line| line.len() <= LINE_WIDTH),
            "{drawn}"
        );
    }

    #[test]
    fn wrapping_loses_nothing_and_cuts_long_words() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("abcde", 5), ["abcde"]);
        assert_eq!(wrap("abcdefg", 5), ["abcde", "fg"]);
        assert_eq!(wrap("ab cde fg", 6), ["ab cde", "fg"]);
        assert_eq!(wrap("a,b,c,d,e", 4), ["a,b,", "c,d,", "e"]);
        assert_eq!(wrap("äöüäöü", 4), ["äöüä", "öü"]);
    }
}
