//! Where the bytes of a value that is taken out of a map go to.

const WORD: usize = 8;

/// Takes the bytes of a value, eight at a time: the reverse of [`ValueSource`](crate::ValueSource).
///
/// An engine implements it for the memory of a program, some of which others write at the same time.
pub trait ValueSink {
    /// Returns the length in bytes.
    fn byte_len(&self) -> usize;

    /// Takes the bytes from `index * 8` on, in native order. Those past the end are to be ignored.
    fn put(&mut self, index: usize, word: u64);
}

impl ValueSink for [u8] {
    #[inline]
    fn byte_len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn put(&mut self, index: usize, word: u64) {
        if let Some(bytes) = self.chunks_mut(WORD).nth(index) {
            bytes.copy_from_slice(&word.to_ne_bytes()[..bytes.len()]);
        }
    }
}

impl<const N: usize> ValueSink for [u8; N] {
    #[inline]
    fn byte_len(&self) -> usize {
        N
    }

    #[inline]
    fn put(&mut self, index: usize, word: u64) {
        self.as_mut_slice().put(index, word);
    }
}
