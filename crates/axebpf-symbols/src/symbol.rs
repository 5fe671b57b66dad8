//! One symbol of a table.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use rustc_demangle::Demangle;

use crate::{NameBuf, SymbolName};

/// One symbol: its name, and where it is at run time.
///
/// Displays as its demangled name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pub(crate) name: SymbolName<'a>,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) kind: u8,
}

impl<'a> Symbol<'a> {
    /// Returns the name as the linker knows it.
    #[must_use]
    pub const fn name(&self) -> SymbolName<'a> {
        self.name
    }

    /// Returns the address at run time: where it was linked, moved by the slide of the table.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Returns the size in bytes, or 0 if it is unknown.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the type letter that `nm` shows, for example `T` for global code and `t` for local code.
    #[must_use]
    pub const fn kind(&self) -> char {
        self.kind as char
    }

    /// Tells whether the symbol is code.
    #[must_use]
    pub const fn is_code(&self) -> bool {
        matches!(self.kind, b'T' | b't' | b'W' | b'w')
    }

    /// Returns the name as the programmer wrote it, without a hash; the name itself if it is not a mangled
    /// Rust name.
    #[must_use]
    pub fn demangled(&self) -> String {
        self.demangle(&mut NameBuf::new()).to_string()
    }

    /// Returns the name as the programmer wrote it, to be displayed without allocating.
    pub fn demangle<'b>(&self, buf: &'b mut NameBuf) -> Demangled<'b>
    where
        'a: 'b,
    {
        Demangled::new(self.name.join(buf))
    }

    /// Tells whether `address` lies within the symbol; its first byte always does.
    pub(crate) const fn covers(&self, address: u64) -> bool {
        let offset = address.wrapping_sub(self.address);
        offset < self.size || offset == 0
    }
}

impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.demangle(&mut NameBuf::new()).fmt(f)
    }
}

/// A name that displays as the programmer wrote it.
///
/// A mangled Rust name loses its hash; any other name stays as it is.
pub struct Demangled<'a> {
    name: &'a str,
    demangle: Option<Demangle<'a>>,
}

impl<'a> Demangled<'a> {
    /// Takes `name` as the linker knows it.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            demangle: rustc_demangle::try_demangle(name).ok(),
        }
    }

    /// Tells whether the name is a mangled Rust name.
    #[must_use]
    pub const fn is_mangled(&self) -> bool {
        self.demangle.is_some()
    }
}

impl fmt::Display for Demangled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.demangle {
            // The alternate form is the one without the hash, and it knows no padding.
            Some(demangle) if f.width().is_none() => write!(f, "{demangle:#}"),
            Some(demangle) => f.pad(&format!("{demangle:#}")),
            None => f.pad(self.name),
        }
    }
}

impl fmt::Debug for Demangled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Demangled").field(&self.name).finish()
    }
}

/// A place within a symbol.
///
/// Displays as `name+0x10/0x40`, with the offset and the size of the symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The symbol.
    pub symbol: Symbol<'a>,
    /// The distance from the start of the symbol in bytes.
    pub offset: u64,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { symbol, offset } = self;
        write!(f, "{symbol}+{offset:#x}/{:#x}", symbol.size)
    }
}

/// Compares what is written into it with a text.
pub(crate) struct Compare<'a> {
    rest: &'a str,
}

impl<'a> Compare<'a> {
    /// Tells whether `value` displays as exactly `text`.
    pub(crate) fn displays_as(value: &Demangled<'_>, text: &'a str) -> bool {
        let mut compare = Self { rest: text };
        fmt::write(&mut compare, format_args!("{value}")).is_ok() && compare.rest.is_empty()
    }
}

impl fmt::Write for Compare<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.rest = self.rest.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}
