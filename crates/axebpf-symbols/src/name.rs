//! The names of symbols, as they lie in the table.

use core::fmt;

use ksym::KSYM_NAME_LEN;

/// The name of a symbol as the linker knows it, mangled if the compiler mangled it.
///
/// A table stores a name as a prefix that it shares with others and the rest, so the name is in two pieces.
/// It can be displayed, compared with a `str`, and joined in a [`NameBuf`].
#[derive(Clone, Copy, Debug)]
pub struct SymbolName<'a> {
    prefix: &'a str,
    rest: &'a str,
}

impl<'a> SymbolName<'a> {
    pub(crate) const fn new(prefix: &'a str, rest: &'a str) -> Self {
        Self { prefix, rest }
    }

    /// Returns the length of the name in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.prefix.len() + self.rest.len()
    }

    /// Tells whether the name is empty, which no symbol of a table is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the name in one piece, for which `buf` is used where it is needed.
    ///
    /// A name longer than the buffer, which no symbol of a table has, is cut off.
    #[must_use]
    pub fn join<'b>(&self, buf: &'b mut NameBuf) -> &'b str
    where
        'a: 'b,
    {
        if self.prefix.is_empty() {
            return self.rest;
        }
        if self.rest.is_empty() {
            return self.prefix;
        }
        let mut len = 0;
        let pieces = self.bytes();
        for (slot, byte) in buf.bytes.iter_mut().zip(pieces) {
            *slot = byte;
            len += 1;
        }
        let joined = &buf.bytes[..len];
        match core::str::from_utf8(joined) {
            Ok(name) => name,
            Err(cut) => core::str::from_utf8(&joined[..cut.valid_up_to()]).unwrap_or_default(),
        }
    }

    /// Returns the bytes of the name one by one.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.prefix.bytes().chain(self.rest.bytes())
    }
}

impl PartialEq for SymbolName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.bytes().eq(other.bytes())
    }
}

impl Eq for SymbolName<'_> {}

impl PartialEq<str> for SymbolName<'_> {
    fn eq(&self, other: &str) -> bool {
        other.strip_prefix(self.prefix) == Some(self.rest)
    }
}

impl PartialEq<&str> for SymbolName<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for SymbolName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        f.write_str(self.rest)
    }
}

/// Room to join one name, so that names can be read where nothing can be allocated.
///
/// It takes 4 KiB, the length that `ksym` allows for a name.
#[derive(Clone)]
pub struct NameBuf {
    bytes: [u8; KSYM_NAME_LEN],
}

impl NameBuf {
    /// Makes an empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; KSYM_NAME_LEN],
        }
    }
}

impl Default for NameBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameBuf").finish_non_exhaustive()
    }
}
