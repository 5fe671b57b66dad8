//! Going through the symbols of a table.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt::Write;
use core::slice;

use zerocopy::little_endian::U32;

use crate::plain::write_plain;
use crate::sidecar::DemangledEntry;
use crate::symbol::Compare;
use crate::{Glob, NameBuf, Symbol, SymbolTable};

/// All symbols of a table in the order of their addresses.
#[derive(Clone, Debug)]
pub struct Iter<'t, 'a> {
    table: &'t SymbolTable<'a>,
    next: usize,
}

impl<'t, 'a> Iter<'t, 'a> {
    pub(crate) fn new(table: &'t SymbolTable<'a>) -> Self {
        Self { table, next: 0 }
    }
}

impl<'a> Iterator for Iter<'_, 'a> {
    type Item = Symbol<'a>;

    fn next(&mut self) -> Option<Symbol<'a>> {
        let symbol = self.table.at(self.next)?;
        self.next += 1;
        Some(symbol)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.table.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_, '_> {}

impl<'t, 'a> IntoIterator for &'t SymbolTable<'a> {
    type Item = Symbol<'a>;
    type IntoIter = Iter<'t, 'a>;

    fn into_iter(self) -> Iter<'t, 'a> {
        self.iter()
    }
}

/// The symbols whose name matches a glob, in the order of their addresses.
#[derive(Debug)]
pub struct Matching<'t, 'a, 'g> {
    symbols: Iter<'t, 'a>,
    glob: &'g Glob,
    buf: Box<NameBuf>,
    demangled: String,
    plain: String,
}

impl<'t, 'a, 'g> Matching<'t, 'a, 'g> {
    pub(crate) fn new(symbols: Iter<'t, 'a>, glob: &'g Glob) -> Self {
        Self {
            symbols,
            glob,
            buf: Box::default(),
            demangled: String::new(),
            plain: String::new(),
        }
    }

    /// Tells whether one of the names of `symbol` matches.
    fn accepts(&mut self, symbol: &Symbol<'a>) -> bool {
        if self.glob.matches(symbol.name().join(&mut self.buf)) {
            return true;
        }
        let demangled = symbol.demangle(&mut self.buf);
        if !demangled.is_mangled() {
            return false;
        }
        self.demangled.clear();
        write!(self.demangled, "{demangled}").is_ok()
            && (self.glob.matches(&self.demangled)
                || write_plain(&self.demangled, &mut self.plain) && self.glob.matches(&self.plain))
    }
}

impl<'a> Iterator for Matching<'_, 'a, '_> {
    type Item = Symbol<'a>;

    fn next(&mut self) -> Option<Symbol<'a>> {
        loop {
            let symbol = self.symbols.next()?;
            if self.accepts(&symbol) {
                return Some(symbol);
            }
        }
    }
}

/// The symbols that have one exact name.
#[derive(Debug)]
pub struct Named<'t, 'a, 'n> {
    table: &'t SymbolTable<'a>,
    candidates: Candidates<'t, 'a>,
    name: &'n str,
}

/// Where the symbols come from, and what is still to be checked about them.
#[derive(Debug)]
enum Candidates<'t, 'a> {
    /// Symbols that have the name.
    Linked(slice::Iter<'a, U32>),
    /// Symbols whose demangled name has the right hash.
    Hashed(slice::Iter<'a, DemangledEntry>),
    /// Symbols of which nothing is known.
    All(Iter<'t, 'a>),
}

impl<'t, 'a, 'n> Named<'t, 'a, 'n> {
    /// Returns the symbols in `entries`, a part of the name order.
    pub(crate) fn linked(table: &'t SymbolTable<'a>, entries: &'a [U32]) -> Self {
        Self {
            table,
            candidates: Candidates::Linked(entries.iter()),
            name: "",
        }
    }

    /// Returns those symbols in `entries` whose demangled name is `name`.
    pub(crate) fn demangled(
        table: &'t SymbolTable<'a>,
        entries: &'a [DemangledEntry],
        name: &'n str,
    ) -> Self {
        Self {
            table,
            candidates: Candidates::Hashed(entries.iter()),
            name,
        }
    }

    /// Returns those symbols of the whole table whose demangled name is `name`.
    pub(crate) fn searched(table: &'t SymbolTable<'a>, name: &'n str) -> Self {
        Self {
            table,
            candidates: Candidates::All(table.iter()),
            name,
        }
    }

    /// Tells whether the demangled name of `symbol` is the one that is looked for.
    fn fits(&self, symbol: &Symbol<'a>) -> bool {
        let mut buf = NameBuf::new();
        let demangled = symbol.demangle(&mut buf);
        if Compare::displays_as(&demangled, self.name) {
            return true;
        }
        let mut plain = String::new();
        demangled.is_mangled()
            && write_plain(&demangled.to_string(), &mut plain)
            && plain == self.name
    }
}

impl<'a> Iterator for Named<'_, 'a, '_> {
    type Item = Symbol<'a>;

    fn next(&mut self) -> Option<Symbol<'a>> {
        loop {
            let symbol = match &mut self.candidates {
                Candidates::Linked(entries) => {
                    return self.table.at(entries.next()?.get() as usize);
                }
                Candidates::Hashed(entries) => self.table.at(entries.next()?.symbol.get() as usize),
                Candidates::All(symbols) => Some(symbols.next()?),
            };
            if let Some(symbol) = symbol
                && self.fits(&symbol)
            {
                return Some(symbol);
            }
        }
    }
}
