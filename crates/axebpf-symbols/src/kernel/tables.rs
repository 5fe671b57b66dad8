//! The compressed tables that a Linux kernel carries (`scripts/kallsyms.c`).

use alloc::vec::Vec;

use super::builder::limit;
use super::{KernelSymbolError, KernelSymbols};

/// No kernel has more symbols.
pub(super) const MAX_SYMBOLS: usize = 1 << 20;
/// Linux's `KSYM_NAME_LEN`, and a byte for the type.
pub(super) const MAX_NAME: usize = 513;
/// How many tokens there are: what a byte can say.
const TOKENS: usize = 256;

/// What tokens stand for. Without any, each byte stands for itself.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    /// Where each token starts in `bytes`, and behind the last one.
    starts: Vec<u32>,
    bytes: Vec<u8>,
}

impl Tokens {
    /// Takes 256 strings, each with a zero behind it.
    fn parse(table: &[u8]) -> Result<Self, KernelSymbolError> {
        let mut tokens = Self::default();
        let mut rest = table.split(|&byte| byte == 0);
        for token in 0..TOKENS {
            let text = rest.next().ok_or(KernelSymbolError::BadToken { token })?;
            if text.len() > MAX_NAME || !text.iter().all(u8::is_ascii_graphic) {
                return Err(KernelSymbolError::BadToken { token });
            }
            tokens.starts.push(tokens.bytes.len() as u32);
            tokens.bytes.extend_from_slice(text);
        }
        tokens.starts.push(tokens.bytes.len() as u32);
        Ok(tokens)
    }

    /// Returns what `token` stands for.
    fn get<'a>(&'a self, token: &'a u8) -> &'a [u8] {
        let index = usize::from(*token);
        let bounds = self.starts.get(index).zip(self.starts.get(index + 1));
        match bounds {
            Some((&start, &end)) => self
                .bytes
                .get(start as usize..end as usize)
                .unwrap_or_default(),
            None => core::slice::from_ref(token),
        }
    }

    /// Appends the name in `record` to `name` and returns its type.
    pub(super) fn expand(&self, record: &[u8], name: &mut Vec<u8>) -> Option<u8> {
        let (len, header) = length(record)?;
        let mut kind = None;
        for token in record.get(header..header + len)? {
            let mut text = self.get(token);
            if kind.is_none() {
                let (&first, behind) = text.split_first()?;
                kind = Some(first);
                text = behind;
            }
            name.extend_from_slice(text);
        }
        kind
    }
}

/// Returns how many tokens `record` has, and how many bytes say so: one, or two from Linux 6.1 on if the highest bit
/// is set.
pub(super) fn length(record: &[u8]) -> Option<(usize, usize)> {
    let low = usize::from(*record.first()?);
    if low & 0x80 == 0 {
        return Some((low, 1));
    }
    let high = usize::from(*record.get(1)?);
    Some((low & 0x7f | high << 7, 2))
}

/// The compressed symbol tables of a kernel, found in its memory.
#[derive(Clone, Debug)]
pub struct CompressedSymbols {
    /// `kallsyms_names`: for each symbol a length and that many tokens.
    pub names: Vec<u8>,
    /// `kallsyms_token_table`: 256 strings, each with a zero behind it.
    pub token_table: Vec<u8>,
    /// `kallsyms_offsets`: for each symbol its distance from `base`.
    pub offsets: Vec<u32>,
    /// `kallsyms_relative_base`, which a kernel that runs has relocated.
    pub base: u64,
}

impl KernelSymbols {
    /// Takes the tables over in which a kernel has its own symbols.
    ///
    /// All of it is checked; whatever is in there, no lookup can fail later.
    ///
    /// # Errors
    ///
    /// [`KernelSymbolError`] says what is wrong.
    pub fn from_compressed(tables: CompressedSymbols) -> Result<Self, KernelSymbolError> {
        let CompressedSymbols {
            names,
            token_table,
            offsets,
            base,
        } = tables;
        let count = offsets.len();
        if count == 0 {
            return Err(KernelSymbolError::Empty);
        }
        limit("the number of symbols", count, MAX_SYMBOLS)?;
        limit("the length of all names", names.len(), u32::MAX as usize)?;
        let tokens = Tokens::parse(&token_table)?;
        let mut order: Vec<(u64, u32)> = reserved(count)?;
        let mut start = 0;
        let mut expanded = Vec::new();
        for (index, &offset) in offsets.iter().enumerate() {
            expanded.clear();
            let record = names.get(start..).unwrap_or_default();
            let len = checked(record, index, &tokens, &mut expanded)?;
            order.push((base.wrapping_add(u64::from(offset)), start as u32));
            start += len;
        }
        // They are in order already, except in a kernel that means harm or wraps around.
        order.sort_unstable();
        let (mut addresses, mut starts) = (reserved(count)?, reserved(count)?);
        addresses.extend(order.iter().map(|&(address, _)| address));
        starts.extend(order.iter().map(|&(_, start)| start));
        Ok(Self {
            addresses,
            starts,
            records: names,
            tokens,
            ..Self::default()
        })
    }
}

/// Returns room for `count` values, of which a guest may have said how many there are.
fn reserved<T>(count: usize) -> Result<Vec<T>, KernelSymbolError> {
    let mut values = Vec::new();
    match values.try_reserve_exact(count) {
        Ok(()) => Ok(values),
        Err(_) => Err(KernelSymbolError::NoMemory {
            bytes: count.saturating_mul(size_of::<T>()),
        }),
    }
}

/// Checks the record of symbol `index`, and returns how many bytes it has.
fn checked(
    record: &[u8],
    index: usize,
    tokens: &Tokens,
    name: &mut Vec<u8>,
) -> Result<usize, KernelSymbolError> {
    let truncated = KernelSymbolError::Truncated {
        what: "name",
        index,
    };
    let (len, header) = length(record).ok_or(truncated.clone())?;
    tokens.expand(record, name).ok_or(truncated)?;
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(KernelSymbolError::BadName {
            index,
            len: name.len() + 1,
            limit: MAX_NAME,
        });
    }
    Ok(header + len)
}
