//! Bytes that lie where a table can be opened.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use zerocopy::IntoBytes;

use crate::SymbolError;

/// A copy of some bytes that starts at a multiple of 8, as
/// [`SymbolTable::from_blob`](crate::SymbolTable::from_blob) needs it.
///
/// For tables that come from a file or over a console.
#[derive(Clone)]
pub struct AlignedBytes {
    words: Vec<u64>,
    len: usize,
}

impl AlignedBytes {
    /// Copies `bytes`.
    ///
    /// # Errors
    ///
    /// [`SymbolError::NoMemory`] when there is no memory for the copy.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, SymbolError> {
        let count = bytes.len().div_ceil(8);
        let mut words = Vec::new();
        words
            .try_reserve_exact(count)
            .map_err(|_| SymbolError::NoMemory {
                bytes: bytes.len() as u64,
            })?;
        words.resize(count, 0_u64);
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        Ok(Self {
            words,
            len: bytes.len(),
        })
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.words.as_bytes()[..self.len]
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBytes")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
