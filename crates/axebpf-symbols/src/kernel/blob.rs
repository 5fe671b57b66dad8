//! The binary form: a table of this crate, with the header in front that such a table has in an image.

use alloc::boxed::Box;

use zerocopy::FromBytes;

use super::builder::{Builder, Entry};
use super::{KernelSymbolError, KernelSymbols};
use crate::section::{Header, MAGIC};
use crate::{AlignedBytes, NameBuf, Part, Slide, Symbol, SymbolError, SymbolTable};

/// What stands between the name of a symbol and its module, as in the text of `/proc/kallsyms`.
pub(crate) const BEFORE_MODULE: char = '\t';

impl KernelSymbols {
    /// Reads a file in whichever form it is: a blob ([`from_blob`](Self::from_blob)) begins with `axebKSYM`, and text
    /// ([`from_text`](Self::from_text)) with a number.
    ///
    /// # Errors
    ///
    /// [`KernelSymbolError::Unrecognised`] for what begins with neither; any other says what is wrong with a blob or
    /// with a text.
    pub fn from_file(bytes: &[u8]) -> Result<Self, KernelSymbolError> {
        if bytes.starts_with(&MAGIC.to_le_bytes()) {
            return Self::from_blob(bytes);
        }
        let first = bytes.trim_ascii_start().first();
        if first.is_some_and(|first| !first.is_ascii_hexdigit()) {
            let mut start = [0; 8];
            let shown = bytes.len().min(start.len());
            start[..shown].copy_from_slice(&bytes[..shown]);
            return Err(KernelSymbolError::Unrecognised { start });
        }
        Self::from_text(bytes)
    }

    /// Reads a blob: what the encoder writes with `finish_file`, and what the section
    /// [`SECTION_NAME`](crate::SECTION_NAME) of an image holds.
    ///
    /// The sizes in it are not used: as with the other forms, a symbol reaches to the next one. The module of a symbol
    /// stands behind its name, after a tab and in brackets. Absolute symbols (`A`, `a`) are left out.
    ///
    /// # Errors
    ///
    /// [`KernelSymbolError::Blob`] says which part of it is damaged, and the other errors what cannot be the symbols of
    /// a kernel. All of it is checked.
    pub fn from_blob(bytes: &[u8]) -> Result<Self, KernelSymbolError> {
        let bytes = table_of(bytes)?;
        if bytes.as_ptr().addr().is_multiple_of(crate::blob::ALIGN) {
            return Self::from_table(&SymbolTable::from_blob(bytes, Slide::ZERO)?);
        }
        let bytes = AlignedBytes::copy_of(bytes)?;
        Self::from_table(&SymbolTable::from_blob(&bytes, Slide::ZERO)?)
    }

    /// Takes over what is in a table that has been checked.
    fn from_table(table: &SymbolTable<'_>) -> Result<Self, KernelSymbolError> {
        let mut symbols = Builder::default();
        let mut name: Box<NameBuf> = Box::default();
        for (index, symbol) in table.iter().enumerate() {
            let entry = entry(&symbol, &mut name);
            symbols.push(&entry.ok_or(KernelSymbolError::NotAName { index })?)?;
        }
        symbols.finish()
    }
}

/// Returns the table in a file, whose header is checked.
fn table_of(bytes: &[u8]) -> Result<&[u8], SymbolError> {
    let truncated = |need| SymbolError::Truncated {
        part: Part::Section,
        need,
        have: bytes.len() as u64,
    };
    let header_len = size_of::<Header>() as u64;
    let (header, behind) = Header::ref_from_prefix(bytes).map_err(|_| truncated(header_len))?;
    let has_magic = header.magic.get() == MAGIC;
    if has_magic && header.capacity.get() > behind.len() as u64 {
        return Err(truncated(header_len.saturating_add(header.capacity.get())));
    }
    let capacity = behind.len() as u64;
    header.check(capacity)?;
    let len = header.len.get();
    let table = usize::try_from(len).ok().and_then(|len| behind.get(..len));
    table.ok_or(SymbolError::TooLarge { len, capacity })
}

/// Takes apart what a table says of a symbol.
fn entry<'a>(symbol: &Symbol<'a>, name: &'a mut NameBuf) -> Option<Entry<'a>> {
    let (address, kind) = (symbol.address(), symbol.kind);
    let text = symbol.name().join(name);
    let (name, module) = match text.split_once(BEFORE_MODULE) {
        None => (text, None),
        Some((name, module)) => {
            let module = module.strip_prefix('[')?.strip_suffix(']')?;
            (name, Some(module))
        }
    };
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_name(name) && module.is_none_or(is_name)).then_some(Entry {
        address,
        kind,
        name,
        module,
    })
}
