//! The text forms: `/proc/kallsyms`, `System.map` and what `nm` prints.

use super::builder::{Builder, Entry};
use super::{KernelSymbolError, KernelSymbols};

/// Reads `address type name`, and `[module]` behind it if the symbol is one of a module.
fn parse(line: &str) -> Option<Entry<'_>> {
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
    (is_name && kind.is_ascii_graphic() && fields.next().is_none()).then_some(Entry {
        address,
        kind,
        name,
        module,
    })
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
        let mut symbols = Builder::default();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let bad_line = KernelSymbolError::BadLine { line: index + 1 };
            let line = core::str::from_utf8(line).map_err(|_| bad_line.clone())?;
            if !line.trim_ascii().is_empty() {
                symbols.push(&parse(line).ok_or(bad_line)?)?;
            }
        }
        symbols.finish()
    }
}
