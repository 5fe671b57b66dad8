//! The context of a run: what the program's first argument points to.

/// The bytes that `r1` points to when a program starts; `r2` is their number.
///
/// A program reads its context and, as a rule, cannot write it.
#[derive(Debug)]
pub struct Context<'c> {
    bytes: Bytes<'c>,
}

#[derive(Debug)]
enum Bytes<'c> {
    ReadOnly(&'c [u8]),
    Writable(&'c mut [u8]),
}

impl<'c> Context<'c> {
    /// Makes a context that the program can only read.
    #[must_use]
    pub fn new(bytes: &'c [u8]) -> Self {
        Self {
            bytes: Bytes::ReadOnly(bytes),
        }
    }

    /// Makes a context that the program can write, too.
    ///
    /// No tracing program gets one; this is for tools that run programs of other kinds.
    #[must_use]
    pub fn writable(bytes: &'c mut [u8]) -> Self {
        Self {
            bytes: Bytes::Writable(bytes),
        }
    }

    /// Returns the address of the first byte, having exposed its provenance.
    ///
    /// Using the context otherwise ends the right to access the bytes by address.
    pub(crate) fn expose(&mut self) -> u64 {
        let addr = match &mut self.bytes {
            Bytes::ReadOnly(bytes) => bytes.as_ptr().expose_provenance(),
            Bytes::Writable(bytes) => bytes.as_mut_ptr().expose_provenance(),
        };
        addr as u64
    }

    pub(crate) fn len(&self) -> u64 {
        let len = match &self.bytes {
            Bytes::ReadOnly(bytes) => bytes.len(),
            Bytes::Writable(bytes) => bytes.len(),
        };
        len as u64
    }

    pub(crate) fn is_writable(&self) -> bool {
        matches!(self.bytes, Bytes::Writable(_))
    }
}

#[cfg(feature = "rbpf")]
impl Context<'_> {
    /// Returns the bytes if the program may write them.
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.bytes {
            Bytes::ReadOnly(_) => None,
            Bytes::Writable(bytes) => Some(bytes),
        }
    }

    /// Returns a copy of the bytes.
    pub(crate) fn copy(&self) -> alloc::vec::Vec<u8> {
        match &self.bytes {
            Bytes::ReadOnly(bytes) => bytes.to_vec(),
            Bytes::Writable(bytes) => bytes.to_vec(),
        }
    }
}
