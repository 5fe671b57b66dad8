//! The context of a run: what the program's first argument points to.

use core::marker::PhantomData;

/// The bytes that `r1` points to when a program starts; `r2` is their number.
///
/// A program reads its context and, as a rule, cannot write it.
#[derive(Debug)]
pub struct Context<'c> {
    addr: u64,
    len: u64,
    writable: bool,
    _bytes: PhantomData<&'c [u8]>,
}

impl<'c> Context<'c> {
    /// Makes a context that the program can only read.
    #[must_use]
    pub fn new(bytes: &'c [u8]) -> Self {
        let addr = bytes.as_ptr().expose_provenance() as u64;
        Self { addr, len: bytes.len() as u64, writable: false, _bytes: PhantomData }
    }

    /// Makes a context that the program can write, too.
    ///
    /// No tracing program gets one; this is for tools that run programs of other kinds.
    #[must_use]
    pub fn writable(bytes: &'c mut [u8]) -> Self {
        let addr = bytes.as_mut_ptr().expose_provenance() as u64;
        Self { addr, len: bytes.len() as u64, writable: true, _bytes: PhantomData }
    }

    pub(crate) fn addr(&self) -> u64 {
        self.addr
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }
}
