//! Checks that several parts of a table need.

use alloc::vec::Vec;

use zerocopy::little_endian::U32;

use crate::{Part, SymbolError};

/// Checks that each entry is less than `limit`.
pub(crate) fn references(part: Part, entries: &[U32], limit: usize) -> Result<(), SymbolError> {
    match entries.iter().position(|e| e.get() as usize >= limit) {
        Some(index) => Err(SymbolError::BadReference {
            part,
            index: index as u64,
            value: u64::from(entries[index].get()),
            limit: limit as u64,
        }),
        None => Ok(()),
    }
}

/// Checks that no entry occurs twice; each must be less than the number of entries.
pub(crate) fn distinct(part: Part, entries: &[U32]) -> Result<(), SymbolError> {
    let words = entries.len().div_ceil(64);
    let mut seen: Vec<u64> = Vec::new();
    seen.try_reserve_exact(words)
        .map_err(|_| SymbolError::NoMemory {
            bytes: words as u64 * 8,
        })?;
    seen.resize(words, 0);
    for (index, entry) in entries.iter().enumerate() {
        let entry = entry.get() as usize;
        let bit = 1 << (entry % 64);
        if seen[entry / 64] & bit != 0 {
            return Err(SymbolError::Repeated {
                part,
                index: index as u64,
                value: entry as u64,
            });
        }
        seen[entry / 64] |= bit;
    }
    Ok(())
}
