//! Where the bytes of a new value come from.

use alloc::vec::Vec;

const WORD: usize = 8;

/// Gives the bytes of a value, eight at a time.
///
/// An engine implements it for memory that others write at the same time, such as a value of another map, for
/// which there can be no `&[u8]`.
pub trait ValueSource {
    /// Returns the length in bytes.
    fn byte_len(&self) -> usize;

    /// Returns the bytes from `index * 8` on, in native order; those past the end are zero.
    fn word(&self, index: usize) -> u64;
}

impl ValueSource for [u8] {
    #[inline]
    fn byte_len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        let rest = self.get(index * WORD..).unwrap_or(&[]);
        match rest.first_chunk::<WORD>() {
            Some(word) => u64::from_ne_bytes(*word),
            None => short_word(rest),
        }
    }
}

/// Returns the word that starts with fewer than 8 bytes.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    // By shifts, since a copy of so few bytes costs more than all the rest of a lookup.
    u64::from_le(match bytes.try_into() {
        Ok(four) => u64::from(u32::from_le_bytes(four)),
        Err(_) => bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| (word << 8) | u64::from(byte)),
    })
}

impl<const N: usize> ValueSource for [u8; N] {
    #[inline]
    fn byte_len(&self) -> usize {
        N
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.as_slice().word(index)
    }
}

impl ValueSource for Vec<u8> {
    #[inline]
    fn byte_len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.as_slice().word(index)
    }
}
