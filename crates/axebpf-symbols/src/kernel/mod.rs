//! The symbols of a Linux kernel, from the forms in which Linux has them.

mod blob;
mod builder;
mod compare;
mod error;
mod tables;
mod text;

#[cfg(feature = "encode")]
pub(crate) use blob::BEFORE_MODULE;
pub use error::KernelSymbolError;
pub use tables::CompressedSymbols;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Glob, Slide};
use tables::Tokens;

/// The symbols of a Linux kernel.
///
/// They come from a file, which is text or a blob ([`from_file`](Self::from_file)), or from the kernel's own compressed
/// tables ([`from_compressed`](Self::from_compressed)). Names stay compressed, so 100,000 symbols take about two
/// megabytes. Looking up an address is a search by halves; looking up a name goes through all of them. Nothing here is
/// for a probe hit.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::KernelSymbols;
///
/// let symbols = KernelSymbols::from_text(
///     b"ffff800008010000 T _stext\n\
///       ffff800008011000 T vfs_read\n\
///       ffff800008011200 t rw_verify_area\n\
///       ffff800001000000 t ext4_sync_file\t[ext4]\n",
/// )?;
/// assert_eq!(symbols.lookup_name("vfs_read").unwrap().address(), 0xffff_8000_0801_1000);
/// let found = symbols.lookup_address(0xffff_8000_0801_1010).unwrap();
/// assert_eq!(found.to_string(), "vfs_read+0x10/0x200");
/// let module = symbols.lookup_name("ext4_sync_file").unwrap();
/// assert_eq!(module.to_string(), "ext4_sync_file [ext4]");
/// # Ok::<(), axebpf_symbols::KernelSymbolError>(())
/// ```
#[derive(Clone, Default)]
pub struct KernelSymbols {
    /// Where each symbol is, in ascending order.
    addresses: Vec<u64>,
    /// Where the record of each is in `records`.
    starts: Vec<u32>,
    /// For each symbol its length, and its type and name in tokens.
    records: Vec<u8>,
    tokens: Tokens,
    /// The module of each symbol, by number from 1; 0 and what is missing are the kernel itself.
    modules: Vec<u16>,
    module_names: Vec<String>,
}

/// One symbol of a kernel.
///
/// Displays as its name, and its module in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbol<'a> {
    name: String,
    module: Option<&'a str>,
    address: u64,
    size: u64,
    kind: u8,
}

impl KernelSymbol<'_> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the module, or `None` for the kernel itself.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        self.module
    }

    /// Returns the address at run time.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Returns the distance to the next symbol in bytes, which is all that is known of the size; 0 for the last one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the type letter that `nm` shows.
    #[must_use]
    pub fn kind(&self) -> char {
        self.kind as char
    }

    /// Tells whether the symbol is code.
    #[must_use]
    pub fn is_code(&self) -> bool {
        matches!(self.kind, b'T' | b't' | b'W' | b'w')
    }
}

impl fmt::Display for KernelSymbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module {
            Some(module) => write!(f, "{} [{module}]", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A place within a symbol of a kernel.
///
/// Displays as Linux does: `name+0x10/0x40 [module]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLocation<'a> {
    /// The symbol.
    pub symbol: KernelSymbol<'a>,
    /// The distance from its start in bytes.
    pub offset: u64,
}

impl fmt::Display for KernelLocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { symbol, offset } = self;
        write!(f, "{}+{offset:#x}/{:#x}", symbol.name, symbol.size)?;
        match symbol.module {
            Some(module) => write!(f, " [{module}]"),
            None => Ok(()),
        }
    }
}

impl KernelSymbols {
    /// Moves the kernel's own symbols by `slide`: a `System.map` says where a kernel was linked, and a kernel with
    /// `CONFIG_RANDOMIZE_BASE` runs elsewhere. Symbols of modules stay, since they are never linked.
    #[must_use]
    pub fn with_slide(mut self, slide: Slide) -> Self {
        if slide == Slide::ZERO {
            return self;
        }
        let module = |index: usize| self.modules.get(index).copied().unwrap_or(0);
        let mut order: Vec<(u64, u32, u16)> = self
            .addresses
            .iter()
            .zip(&self.starts)
            .enumerate()
            .map(|(index, (&address, &start))| match module(index) {
                0 => (slide.to_running(address), start, 0),
                module => (address, start, module),
            })
            .collect();
        order.sort_by_key(|&(address, ..)| address);
        self.addresses = order.iter().map(|&(address, ..)| address).collect();
        self.starts = order.iter().map(|&(_, start, _)| start).collect();
        self.modules = order.iter().map(|&(.., module)| module).collect();
        self
    }

    /// Returns the number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Returns the symbol with number `index` in the order of addresses.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<KernelSymbol<'_>> {
        let mut bytes = Vec::new();
        let kind = self.name_of(index, &mut bytes)?;
        let address = *self.addresses.get(index)?;
        Some(KernelSymbol {
            // Names are checked to be printable ASCII when the table is made.
            name: String::from_utf8(bytes).ok()?,
            module: self.module_of(index),
            address,
            size: self.size_of(address),
            kind,
        })
    }

    /// Expands the name of symbol `index` into `name`, and returns its type.
    fn name_of(&self, index: usize, name: &mut Vec<u8>) -> Option<u8> {
        let start = *self.starts.get(index)? as usize;
        self.tokens.expand(self.records.get(start..)?, name)
    }

    fn module_of(&self, index: usize) -> Option<&str> {
        let number = usize::from(*self.modules.get(index)?);
        self.module_names
            .get(number.checked_sub(1)?)
            .map(String::as_str)
    }

    /// Returns the distance from `address` to the next symbol that is elsewhere.
    fn size_of(&self, address: u64) -> u64 {
        let next = self.addresses.partition_point(|&start| start <= address);
        self.addresses.get(next).map_or(0, |next| next - address)
    }

    /// Finds the symbol in which `address` lies: the last one that does not start behind it. Of several that start
    /// there it is the first of the kind that `nm` shows as global, or the first.
    #[must_use]
    pub fn lookup_address(&self, address: u64) -> Option<KernelLocation<'_>> {
        let after = self.addresses.partition_point(|&start| start <= address);
        let start = *self.addresses.get(after.checked_sub(1)?)?;
        let first = self.addresses.partition_point(|&other| other < start);
        let global = (first..after).find(|&index| {
            self.name_of(index, &mut Vec::new())
                .is_some_and(|kind| kind.is_ascii_uppercase())
        });
        let symbol = self.get(global.unwrap_or(first))?;
        // The last symbol reaches nowhere.
        (symbol.size != 0 || address == start).then_some(KernelLocation {
            offset: address - start,
            symbol,
        })
    }

    /// Finds the first symbol called `name` in the order of addresses, code before data.
    #[must_use]
    pub fn lookup_name(&self, name: &str) -> Option<KernelSymbol<'_>> {
        let mut candidate = Vec::new();
        let mut first = None;
        for index in 0..self.len() {
            candidate.clear();
            let kind = self.name_of(index, &mut candidate)?;
            if candidate == name.as_bytes() {
                if matches!(kind, b'T' | b't' | b'W' | b'w') {
                    return self.get(index);
                }
                first = first.or(Some(index));
            }
        }
        self.get(first?)
    }

    /// Returns all symbols called `name`, in the order of addresses. Static functions of one name are common.
    pub fn lookup_names<'a>(&'a self, name: &'a str) -> impl Iterator<Item = KernelSymbol<'a>> {
        self.filtered(move |candidate| candidate == name.as_bytes())
    }

    /// Returns the symbols whose name matches `glob`, in the order of addresses.
    pub fn matching<'a>(&'a self, glob: &'a Glob) -> impl Iterator<Item = KernelSymbol<'a>> {
        self.filtered(move |candidate| {
            core::str::from_utf8(candidate).is_ok_and(|name| glob.matches(name))
        })
    }

    /// Returns all symbols in the order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = KernelSymbol<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns the symbols whose name `accepts` likes.
    fn filtered<'a>(
        &'a self,
        accepts: impl Fn(&[u8]) -> bool + 'a,
    ) -> impl Iterator<Item = KernelSymbol<'a>> {
        let mut name = Vec::new();
        (0..self.len()).filter_map(move |index| {
            name.clear();
            self.name_of(index, &mut name)?;
            accepts(&name).then(|| self.get(index)).flatten()
        })
    }
}

impl fmt::Debug for KernelSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSymbols")
            .field("len", &self.len())
            .field("modules", &self.module_names.len())
            .finish_non_exhaustive()
    }
}
