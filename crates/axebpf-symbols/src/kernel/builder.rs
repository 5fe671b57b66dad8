//! Collecting the symbols of a kernel, one after the other.

use alloc::string::String;
use alloc::vec::Vec;

use super::tables::{MAX_NAME, MAX_SYMBOLS};
use super::{KernelSymbolError, KernelSymbols};

/// How many modules a kernel can have loaded.
const MAX_MODULES: usize = u16::MAX as usize;
/// How many bytes all names can have. Debian's kernel has 4 MiB of them; a file of a few megabytes can say far more,
/// because several names can share their first part.
const MAX_NAMES: usize = 64 << 20;

/// What is said of one symbol.
pub(super) struct Entry<'a> {
    pub(super) address: u64,
    /// The type letter that `nm` shows.
    pub(super) kind: u8,
    /// The name, which is printable ASCII without blanks.
    pub(super) name: &'a str,
    /// The name of the module, or `None` for the kernel itself.
    pub(super) module: Option<&'a str>,
}

/// Checks that `len` is at most `limit`.
pub(super) fn limit(what: &'static str, len: usize, limit: usize) -> Result<(), KernelSymbolError> {
    if len > limit {
        return Err(KernelSymbolError::TooLarge { what, len, limit });
    }
    Ok(())
}

/// Makes room for `count` more values, of which somebody may have said how many there are.
pub(super) fn reserve<T>(values: &mut Vec<T>, count: usize) -> Result<(), KernelSymbolError> {
    values
        .try_reserve(count)
        .map_err(|_| KernelSymbolError::NoMemory {
            bytes: count.saturating_mul(size_of::<T>()),
        })
}

/// The symbols so far.
#[derive(Default)]
pub(super) struct Builder {
    symbols: KernelSymbols,
    /// For each symbol its address, where its record is, and its module.
    order: Vec<(u64, u32, u16)>,
}

impl Builder {
    /// Adds a symbol unless it is absolute: on arm64 those are sizes and the like, not places.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result<(), KernelSymbolError> {
        if entry.kind.eq_ignore_ascii_case(&b'a') {
            return Ok(());
        }
        limit("the number of symbols", self.order.len() + 1, MAX_SYMBOLS)?;
        let module = self.module_number(entry.module)?;
        let start = self.push_record(entry)?;
        reserve(&mut self.order, 1)?;
        self.order.push((entry.address, start, module));
        Ok(())
    }

    /// Puts the symbols into the order of their addresses.
    pub(super) fn finish(self) -> Result<KernelSymbols, KernelSymbolError> {
        let Self {
            mut symbols,
            mut order,
        } = self;
        if order.is_empty() {
            return Err(KernelSymbolError::Empty);
        }
        if order.iter().all(|&(address, ..)| address == 0) {
            return Err(KernelSymbolError::Hidden);
        }
        order.sort_by_key(|&(address, ..)| address);
        reserve(&mut symbols.addresses, order.len())?;
        reserve(&mut symbols.starts, order.len())?;
        reserve(&mut symbols.modules, order.len())?;
        for (address, start, module) in order {
            symbols.addresses.push(address);
            symbols.starts.push(start);
            symbols.modules.push(module);
        }
        Ok(symbols)
    }

    /// Returns the number of a module, 0 for the kernel itself.
    fn module_number(&mut self, name: Option<&str>) -> Result<u16, KernelSymbolError> {
        let Some(name) = name else {
            return Ok(0);
        };
        let names = &mut self.symbols.module_names;
        // Modules come one after the other.
        let index = match names.iter().rposition(|known| known == name) {
            Some(index) => index,
            None => {
                limit("the number of modules", names.len() + 1, MAX_MODULES)?;
                names.push(String::from(name));
                names.len() - 1
            }
        };
        Ok((index + 1) as u16)
    }

    /// Appends the record of a symbol, in which each byte stands for itself, and returns where it starts.
    fn push_record(&mut self, entry: &Entry<'_>) -> Result<u32, KernelSymbolError> {
        let len = entry.name.len() + 1;
        if len > MAX_NAME {
            return Err(KernelSymbolError::BadName {
                index: self.order.len(),
                len,
                limit: MAX_NAME,
            });
        }
        let records = &mut self.symbols.records;
        let start = records.len();
        limit("the length of all names", start + len, MAX_NAMES)?;
        reserve(records, len + 2)?;
        if len < 0x80 {
            records.push(len as u8);
        } else {
            records.extend_from_slice(&[len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
        }
        records.push(entry.kind);
        records.extend_from_slice(entry.name.as_bytes());
        Ok(start as u32)
    }
}
