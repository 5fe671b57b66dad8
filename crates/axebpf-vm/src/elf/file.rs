//! The parts of an ELF file that matter here, read by the crate `object`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, Rel, SectionHeader, SectionTable, Sym};

use crate::load_error::LoadError;

/// The largest number of sections in an object.
const MAX_SECTIONS: usize = 4096;

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SectionKind {
    /// Instructions.
    Code,
    /// Bytes that are in the file.
    Data,
    /// Bytes that are zero.
    Zero,
    /// Anything else.
    Other,
}

/// A section of the file.
#[derive(Clone, Debug)]
pub(super) struct Section<'f> {
    pub(super) name: &'f str,
    pub(super) kind: SectionKind,
    /// Its length in bytes, also where it has no bytes in the file.
    pub(super) size: u64,
    pub(super) data: &'f [u8],
    /// The relocations of this section.
    pub(super) relocations: Vec<Relocation>,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SymbolKind {
    Function,
    Section,
    Other,
}

/// A symbol of the file.
#[derive(Clone, Debug)]
pub(super) struct Symbol<'f> {
    pub(super) name: &'f str,
    pub(super) kind: SymbolKind,
    /// Whether other files see it.
    pub(super) global: bool,
    /// Where it is defined, if it is.
    pub(super) section: Option<usize>,
    /// Its offset in the section.
    pub(super) value: u64,
    pub(super) size: u64,
}

/// A place that refers to a symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// The offset in the section, in bytes.
    pub(super) offset: u64,
    pub(super) kind: u32,
    pub(super) symbol: usize,
}

/// A file whose sections, symbols and relocations are all readable.
#[derive(Debug)]
pub(super) struct File<'f> {
    /// By their number in the file; number 0 is nothing.
    pub(super) sections: Vec<Section<'f>>,
    pub(super) symbols: Vec<Symbol<'f>>,
}

impl<'f> File<'f> {
    pub(super) fn parse(bytes: &'f [u8]) -> Result<Self, LoadError> {
        let header = header(bytes)?;
        let table = header.sections(LE, bytes).map_err(not_elf)?;
        if table.len() > MAX_SECTIONS {
            let (count, limit) = (table.len(), MAX_SECTIONS);
            return Err(LoadError::TooMany {
                what: "sections",
                count,
                limit,
            });
        }
        let mut sections = Vec::with_capacity(table.len());
        for (index, section) in table.iter().enumerate() {
            sections.push(read_section(bytes, &table, index, section)?);
        }
        let symbols = read_symbols(bytes, &table)?;
        let mut file = Self { sections, symbols };
        for (index, section) in table.iter().enumerate() {
            file.read_relocations(bytes, index, section)?;
        }
        Ok(file)
    }

    /// Returns the section with that name and its number.
    pub(super) fn section_named(&self, name: &str) -> Option<(usize, &Section<'f>)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, section)| section.name == name)
    }

    /// Returns the symbol's name, or for a section's symbol the section's.
    pub(super) fn symbol_name(&self, symbol: &Symbol<'f>) -> &'f str {
        if !symbol.name.is_empty() {
            return symbol.name;
        }
        symbol
            .section
            .and_then(|section| self.sections.get(section))
            .map_or("", |it| it.name)
    }

    fn read_relocations(
        &mut self,
        bytes: &[u8],
        index: usize,
        header: &elf::SectionHeader64<LE>,
    ) -> Result<(), LoadError> {
        let name = self.sections.get(index).map_or("", |section| section.name);
        let bad = |what: String| LoadError::BadSection {
            section: name.to_string(),
            what,
        };
        if header.sh_type(LE) == elf::SHT_RELA {
            return Err(bad(
                "relocations with addends are not made for eBPF".to_string()
            ));
        }
        let Some((entries, _)) = header
            .rel(LE, bytes)
            .map_err(|error| bad(error.to_string()))?
        else {
            return Ok(());
        };
        let mut relocations = Vec::with_capacity(entries.len());
        for entry in entries {
            let symbol = entry.r_sym(LE) as usize;
            if symbol >= self.symbols.len() {
                return Err(bad(format!("there is no symbol {symbol}")));
            }
            let kind = Rel::r_type(entry, LE).0;
            relocations.push(Relocation {
                offset: Rel::r_offset(entry, LE),
                kind,
                symbol,
            });
        }
        let target = header.sh_info(LE) as usize;
        match self.sections.get_mut(target) {
            Some(section) if target != 0 => section.relocations.extend(relocations),
            _ => return Err(bad(format!("there is no section {target} to relocate"))),
        }
        Ok(())
    }
}

fn not_elf(error: object::read::Error) -> LoadError {
    LoadError::NotElf {
        what: error.to_string(),
    }
}

fn header(bytes: &[u8]) -> Result<&FileHeader64<LE>, LoadError> {
    let header = FileHeader64::<LE>::parse(bytes).map_err(not_elf)?;
    if header.is_big_endian() {
        return Err(LoadError::BigEndian);
    }
    let (machine, kind) = (header.e_machine(LE), header.e_type(LE));
    if machine != elf::EM_BPF || kind != elf::ET_REL {
        return Err(LoadError::NotBpf {
            machine: machine.0,
            kind: kind.0,
        });
    }
    Ok(header)
}

fn read_section<'f>(
    bytes: &'f [u8],
    table: &SectionTable<'f, FileHeader64<LE>>,
    index: usize,
    header: &'f elf::SectionHeader64<LE>,
) -> Result<Section<'f>, LoadError> {
    let bad = |what: String| LoadError::BadSection {
        section: format!("#{index}"),
        what,
    };
    let name = table
        .section_name(LE, header)
        .map_err(|error| bad(error.to_string()))?;
    let name = core::str::from_utf8(name).map_err(|_| bad("its name is not UTF-8".to_string()))?;
    let data = header
        .data(LE, bytes)
        .map_err(|error| LoadError::BadSection {
            section: name.to_string(),
            what: error.to_string(),
        })?;
    let code = header.sh_flags(LE).0 & elf::SHF_EXECINSTR.0 != 0;
    let kind = match header.sh_type(LE) {
        elf::SHT_PROGBITS if code => SectionKind::Code,
        elf::SHT_PROGBITS => SectionKind::Data,
        elf::SHT_NOBITS => SectionKind::Zero,
        _ => SectionKind::Other,
    };
    Ok(Section {
        name,
        kind,
        size: header.sh_size(LE),
        data,
        relocations: Vec::new(),
    })
}

fn read_symbols<'f>(
    bytes: &'f [u8],
    table: &SectionTable<'f, FileHeader64<LE>>,
) -> Result<Vec<Symbol<'f>>, LoadError> {
    let bad = |what: String| LoadError::BadSection {
        section: ".symtab".to_string(),
        what,
    };
    let symbols = table
        .symbols(LE, bytes, elf::SHT_SYMTAB)
        .map_err(|error| bad(error.to_string()))?;
    let mut result = Vec::with_capacity(symbols.len());
    for (index, symbol) in symbols.enumerate() {
        let name = symbols
            .symbol_name(LE, symbol)
            .map_err(|error| bad(error.to_string()))?;
        let name = core::str::from_utf8(name)
            .map_err(|_| bad(format!("the name of symbol {} is not UTF-8", index.0)))?;
        let section = symbols
            .symbol_section(LE, symbol, index)
            .map_err(|error| bad(error.to_string()))?
            .map(|section| section.0);
        if section.is_some_and(|section| section >= table.len()) {
            return Err(bad(format!(
                "symbol {name:?} is in a section that does not exist"
            )));
        }
        let kind = match symbol.st_type() {
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_SECTION => SymbolKind::Section,
            _ => SymbolKind::Other,
        };
        let global = symbol.st_bind() != elf::STB_LOCAL;
        let (value, size) = (symbol.st_value(LE), symbol.st_size(LE));
        result.push(Symbol {
            name,
            kind,
            global,
            section,
            value,
            size,
        });
    }
    Ok(result)
}
