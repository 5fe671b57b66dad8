//! Where in the source an instruction comes from.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A line of the source that a program was compiled from.
///
/// Its `Display` is `file:line:column: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) text: Box<str>,
}

impl SourceLine {
    /// Returns the name of the file, as the compiler was given it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the number of the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Returns the column, counted from 1; 0 when it is not known.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.column
    }

    /// Returns the line itself, without the blanks around it; empty when the object does not have it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim()
    }
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        if self.text().is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.text())
        }
    }
}

/// The lines of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceLines(Vec<Entry>);

/// The line of the instructions from this one on, up to the next entry's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    insn: usize,
    line: Option<SourceLine>,
}

impl SourceLines {
    /// Adds a line, or none, for the instructions from `insn` on. Entries are added in the order of instructions.
    pub(crate) fn push(&mut self, insn: usize, line: Option<SourceLine>) {
        self.0.push(Entry { insn, line });
    }

    /// Returns the line that instruction `insn` comes from, if it is known.
    pub(crate) fn at(&self, insn: usize) -> Option<&SourceLine> {
        let after = self.0.partition_point(|entry| entry.insn <= insn);
        self.0.get(after.checked_sub(1)?)?.line.as_ref()
    }
}
