//! The text forms: `/proc/kallsyms`, `System.map` and what `nm` prints.

use alloc::string::String;
use alloc::vec::Vec;

use super::tables::{MAX_NAME, MAX_SYMBOLS};
use super::{KernelSymbolError, KernelSymbols};

/// How many modules a kernel can have loaded.
const MAX_MODULES: usize = u16::MAX as usize;

/// One line.
struct Line<'a> {
    address: u64,
    kind: u8,
    name: &'a str,
    module: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads `address type name`, and `[module]` behind it if the symbol is one of a module.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        let &[kind] = fields.next()?.as_bytes() else {
            return None;
        };
        let name = fields.next()?;
        let module = match fields.next() {
            None => None,
            Some(field) => Some(field.strip_prefix('[')?.strip_suffix(']')?),
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic());
        (is_name && kind.is_ascii_graphic() && fields.next().is_none()).then_some(Self {
            address,
            kind,
            name,
            module,
        })
    }
}

/// Checks that `len` is at most `limit`.
pub(super) fn limit(what: &'static str, len: usize, limit: usize) -> Result<(), KernelSymbolError> {
    if len > limit {
        return Err(KernelSymbolError::TooLarge { what, len, limit });
    }
    Ok(())
}

impl KernelSymbols {
    /// Reads the text of `/proc/kallsyms` or of a `System.map`: lines of address, type and name, with the module in
    /// brackets behind it. The order does not matter; empty lines are skipped.
    ///
    /// Absolute symbols (`A`, `a`) are left out: on arm64 they are sizes and the like, not places.
    ///
    /// # Errors
    ///
    /// [`KernelSymbolError`] names the line that is wrong.
    pub fn from_text(text: &[u8]) -> Result<Self, KernelSymbolError> {
        let mut symbols = Self::default();
        let mut order: Vec<(u64, u32, u16)> = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let bad_line = KernelSymbolError::BadLine { line: index + 1 };
            let line = core::str::from_utf8(line).map_err(|_| bad_line.clone())?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line = Line::parse(line).ok_or(bad_line)?;
            if line.kind.eq_ignore_ascii_case(&b'a') {
                continue;
            }
            limit("the number of symbols", order.len() + 1, MAX_SYMBOLS)?;
            let module = symbols.module_number(line.module)?;
            let start = symbols.push_record(order.len(), &line)?;
            order.push((line.address, start, module));
        }
        if order.is_empty() {
            return Err(KernelSymbolError::Empty);
        }
        if order.iter().all(|&(address, ..)| address == 0) {
            return Err(KernelSymbolError::Hidden);
        }
        order.sort_by_key(|&(address, ..)| address);
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
        // Modules come one after the other.
        let known = self.module_names.iter().rposition(|known| known == name);
        let index = match known {
            Some(index) => index,
            None => {
                limit(
                    "the number of modules",
                    self.module_names.len() + 1,
                    MAX_MODULES,
                )?;
                self.module_names.push(String::from(name));
                self.module_names.len() - 1
            }
        };
        Ok((index + 1) as u16)
    }

    /// Appends the record of a symbol, in which each byte stands for itself, and returns where it starts.
    fn push_record(&mut self, index: usize, line: &Line<'_>) -> Result<u32, KernelSymbolError> {
        let len = line.name.len() + 1;
        if len > MAX_NAME {
            return Err(KernelSymbolError::BadName {
                index,
                len,
                limit: MAX_NAME,
            });
        }
        let start = self.records.len();
        limit("the length of all names", start + len, u32::MAX as usize)?;
        if len < 0x80 {
            self.records.push(len as u8);
        } else {
            self.records
                .extend_from_slice(&[len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
        }
        self.records.push(line.kind);
        self.records.extend_from_slice(line.name.as_bytes());
        Ok(start as u32)
    }
}
