//! The functions of an object, programs among them.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::file::{File, SectionKind, Symbol, SymbolKind};
use crate::insn::INSN_BYTES;
use crate::load_error::LoadError;
use crate::section_error::SectionError;
use crate::target::SectionName;

/// The largest number of functions in an object.
const MAX_FUNCTIONS: usize = 4096;

/// A function: a range of instructions of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'f> {
    pub(super) name: &'f str,
    pub(super) section: usize,
    pub(super) section_name: &'f str,
    /// The offset in the section, in bytes.
    pub(super) start: u64,
    pub(super) code: &'f [u8],
    global: bool,
}

/// The functions of an object, by section and offset.
#[derive(Debug)]
pub(super) struct Functions<'f>(Vec<Function<'f>>);

impl<'f> Functions<'f> {
    pub(super) fn find(file: &File<'f>) -> Result<Self, LoadError> {
        let mut symbols: Vec<(usize, &Symbol<'f>)> = file
            .symbols
            .iter()
            .filter(|symbol| symbol.kind == SymbolKind::Function)
            .filter_map(|symbol| Some((symbol.section?, symbol)))
            .filter(|(section, _)| file.sections[*section].kind == SectionKind::Code)
            .collect();
        if symbols.len() > MAX_FUNCTIONS {
            let (count, limit) = (symbols.len(), MAX_FUNCTIONS);
            return Err(LoadError::TooMany {
                what: "functions",
                count,
                limit,
            });
        }
        // Of several names for one place, the first global one counts.
        symbols.sort_by_key(|(section, symbol)| (*section, symbol.value, !symbol.global));
        symbols.dedup_by_key(|(section, symbol)| (*section, symbol.value));
        let mut functions = Vec::with_capacity(symbols.len());
        for (index, (section, symbol)) in symbols.iter().enumerate() {
            let next = symbols.get(index + 1).filter(|(other, _)| other == section);
            let next = next.map(|(_, symbol)| symbol.value);
            functions.push(Function::new(file, *section, symbol, next)?);
        }
        Ok(Self(functions))
    }

    /// Returns the functions that are programs.
    pub(super) fn programs(&self) -> Result<Vec<&Function<'f>>, LoadError> {
        let mut programs = Vec::new();
        for function in &self.0 {
            // Functions of `.text`, and static ones anywhere, are there to be called.
            if function.section_name == ".text" || !function.global {
                continue;
            }
            if SectionName::parse(function.section_name)?.is_none() {
                let section = function.section_name.to_string();
                return Err(SectionError::UnknownKind { section }.into());
            }
            programs.push(function);
        }
        Ok(programs)
    }

    /// Returns the function that starts there.
    pub(super) fn at(&self, section: usize, start: u64) -> Option<&Function<'f>> {
        let index = self.0.binary_search_by_key(&(section, start), |function| {
            (function.section, function.start)
        });
        self.0.get(index.ok()?)
    }
}

impl<'f> Function<'f> {
    /// Tells whether the instruction at `offset` in the section is the function's.
    pub(super) fn holds(&self, offset: u64) -> bool {
        let inner = offset.checked_sub(self.start);
        inner.is_some_and(|inner| inner < self.code.len() as u64)
    }

    fn new(
        file: &File<'f>,
        section: usize,
        symbol: &Symbol<'f>,
        next: Option<u64>,
    ) -> Result<Self, LoadError> {
        let home = &file.sections[section];
        let bad = |what| LoadError::BadSymbol {
            symbol: symbol.name.to_string(),
            section: home.name.to_string(),
            what,
        };
        let end = match symbol.size {
            0 => next.unwrap_or(home.size),
            size => symbol
                .value
                .checked_add(size)
                .ok_or_else(|| bad("its size is too large"))?,
        };
        if next.is_some_and(|next| next < end) {
            return Err(bad("it runs into the next function"));
        }
        let aligned = |offset: u64| offset.is_multiple_of(INSN_BYTES as u64);
        if !aligned(symbol.value) || !aligned(end) {
            return Err(bad("it is no whole number of instructions"));
        }
        let code = usize::try_from(symbol.value)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| home.data.get(start..end))
            .ok_or_else(|| bad("it lies outside of its section"))?;
        Ok(Self {
            name: symbol.name,
            section,
            section_name: home.name,
            start: symbol.value,
            code,
            global: symbol.global,
        })
    }
}
