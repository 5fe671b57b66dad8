//! Taking a table apart front to back, with each length checked before it is believed.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::{Part, SymbolError};

/// Bytes and how far they have been read.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number of bytes that have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Skips the padding up to the next multiple of `align`, a power of two.
    ///
    /// The end of the bytes may lie within the padding; whatever is read next finds that out.
    pub(crate) fn align(&mut self, align: usize) {
        self.at = self.at.next_multiple_of(align);
    }

    /// Takes the next `len` bytes.
    pub(crate) fn bytes(&mut self, part: Part, len: u64) -> Result<&'a [u8], SymbolError> {
        let need = (self.at as u64).saturating_add(len);
        let truncated = SymbolError::Truncated {
            part,
            need,
            have: self.bytes.len() as u64,
        };
        let end = usize::try_from(need).map_err(|_| truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// Takes the next 8 bytes as a number.
    pub(crate) fn number(&mut self, part: Part) -> Result<u64, SymbolError> {
        Ok(self.one::<U64>(part)?.get())
    }

    /// Takes the next element.
    pub(crate) fn one<T: FromBytes>(&mut self, part: Part) -> Result<T, SymbolError> {
        let len = size_of::<T>() as u64;
        let bytes = self.bytes(part, len)?;
        T::read_from_bytes(bytes).map_err(|_| SymbolError::Truncated {
            part,
            need: len,
            have: bytes.len() as u64,
        })
    }

    /// Takes the next `count` elements.
    pub(crate) fn array<T>(&mut self, part: Part, count: u64) -> Result<&'a [T], SymbolError>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        // A product that does not fit needs more bytes than there can be.
        let len = count.saturating_mul(size_of::<T>() as u64);
        let bytes = self.bytes(part, len)?;
        <[T]>::ref_from_bytes(bytes).map_err(|_| SymbolError::Truncated {
            part,
            need: len,
            have: bytes.len() as u64,
        })
    }
}
