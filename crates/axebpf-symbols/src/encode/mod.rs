//! Writing a symbol table.

mod file;
mod fill;
mod tokens;

pub use fill::fill_section;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ksym::{KSYM_NAME_LEN, TOKEN_MARKER};
use thiserror::Error;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::Demangled;
use crate::blob::{ALIGN, MAX_SYMBOLS};
use crate::hash::Fnv;
use crate::plain::write_plain;
use crate::sidecar::{self, DemangledEntry, Header, NONE};
use tokens::Tokens;

/// Says why a symbol cannot be put into a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name is empty or too long.
    #[error("the name has {len} bytes, 1 to {limit} are possible")]
    BadNameLen {
        /// The length of the name in bytes.
        len: usize,
        /// The largest possible length.
        limit: usize,
    },
    /// The type is no ASCII letter.
    #[error("the type of {name} is {kind:?}, which is no ASCII letter")]
    BadKind {
        /// The symbol.
        name: String,
        /// What was given as its type.
        kind: char,
    },
    /// The symbol is larger than a table can say, or leaves the address space.
    #[error("{name} has {size} bytes at {addr:#x}: more than {limit}, or past the address space")]
    BadSize {
        /// The symbol.
        name: String,
        /// Its address.
        addr: u64,
        /// Its size in bytes.
        size: u64,
        /// The largest possible size.
        limit: u64,
    },
    /// The table would be larger than its format can say.
    #[error("{what} takes {len}, the format's limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: crate::Part,
        /// How large it is.
        len: u64,
        /// How large it may be.
        limit: u64,
    },
}

/// One symbol that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    addr: u64,
    size: u32,
    kind: u8,
}

/// Collects symbols and writes them as a table.
///
/// # Examples
///
/// See [`SymbolTable`](crate::SymbolTable).
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    entries: Vec<Entry>,
}

impl Encoder {
    /// Makes an encoder without symbols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a symbol: its name as the linker knows it, its link address, its size in bytes (0 if that is
    /// unknown), and the type letter that `nm` shows for it.
    ///
    /// The order does not matter. Adding the same symbol again changes nothing.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] says what the format cannot express. The encoder can still be used, without that
    /// symbol.
    pub fn push(
        &mut self,
        name: &str,
        addr: u64,
        size: u64,
        kind: char,
    ) -> Result<(), EncodeError> {
        if name.is_empty() || name.len() > KSYM_NAME_LEN {
            return Err(EncodeError::BadNameLen {
                len: name.len(),
                limit: KSYM_NAME_LEN,
            });
        }
        if !kind.is_ascii_alphabetic() {
            return Err(EncodeError::BadKind {
                name: name.into(),
                kind,
            });
        }
        let bad_size = || EncodeError::BadSize {
            name: name.into(),
            addr,
            size,
            limit: u64::from(u32::MAX),
        };
        let fits = addr.checked_add(size).is_some();
        let size = u32::try_from(size)
            .ok()
            .filter(|_| fits)
            .ok_or_else(bad_size)?;
        self.entries.push(Entry {
            name: name.into(),
            addr,
            size,
            kind: kind as u8,
        });
        Ok(())
    }

    /// Returns the number of symbols that have been added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether no symbol has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the table: the blob of `ksym`, which starts with its own length, and the sidecar.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] when there are more symbols or longer names than offsets of 32 bits can
    /// reach.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        // Of several symbols at one address the first is the one that a lookup shows: larger ones first,
        // because labels without a size often stand at the start of a function, and then global ones.
        self.entries.sort_by(|a, b| {
            (a.addr, u32::MAX - a.size, a.kind, &a.name).cmp(&(
                b.addr,
                u32::MAX - b.size,
                b.kind,
                &b.name,
            ))
        });
        self.entries.dedup();
        limit(crate::Part::Header, self.entries.len(), MAX_SYMBOLS)?;
        let mut out = write_blob(&self.entries)?;
        pad(&mut out, ALIGN);
        write_sidecar(&mut out, &self.entries);
        Ok(out)
    }
}

/// Checks that `len` is at most `limit`.
fn limit(what: crate::Part, len: usize, limit: u64) -> Result<(), EncodeError> {
    let len = len as u64;
    if len > limit {
        return Err(EncodeError::TooLarge { what, len, limit });
    }
    Ok(())
}

/// Appends zeroes up to a multiple of `align`.
fn pad(out: &mut Vec<u8>, align: usize) {
    out.resize(out.len().next_multiple_of(align), 0);
}

/// Writes `ksym`'s blob for `entries`, which are in the order of their addresses.
fn write_blob(entries: &[Entry]) -> Result<Vec<u8>, EncodeError> {
    let mut by_name: Vec<u32> = (0..entries.len() as u32).collect();
    by_name.sort_by_key(|&i| (&entries[i as usize].name, i));
    let tokens = Tokens::choose(by_name.iter().map(|&i| entries[i as usize].name.as_str()));
    let mut names = Vec::new();
    let mut offsets = Vec::with_capacity(entries.len());
    for entry in entries {
        offsets.push(U32::new(names.len() as u32));
        write_name(&mut names, entry, &tokens);
        limit(crate::Part::Names, names.len(), u64::from(u32::MAX))?;
    }
    let mut out = Vec::new();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.addr.to_le_bytes());
    }
    out.extend_from_slice(offsets.as_bytes());
    for index in by_name {
        out.extend_from_slice(&index.to_le_bytes());
    }
    let (table, index) = (tokens.table(), tokens.index());
    for part in [names.as_slice(), table.as_bytes()] {
        pad(&mut out, ALIGN);
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part);
    }
    pad(&mut out, ALIGN);
    out.extend_from_slice(&(index.len() as u64).to_le_bytes());
    out.extend_from_slice(index.as_bytes());
    let total = out.len() as u64;
    out[..8].copy_from_slice(&total.to_le_bytes());
    Ok(out)
}

/// Appends the name record of `entry`.
fn write_name(names: &mut Vec<u8>, entry: &Entry, tokens: &Tokens<'_>) {
    let mut encoded = Vec::new();
    let mut rest = entry.name.as_str();
    if let Some((id, behind)) = tokens.split(rest) {
        encoded.push(TOKEN_MARKER);
        match u8::try_from(id) {
            Ok(short) => encoded.push(short),
            Err(_) => encoded.extend_from_slice(&id.to_be_bytes()),
        }
        encoded.push(TOKEN_MARKER);
        rest = behind;
    }
    encoded.extend_from_slice(rest.as_bytes());
    names.push(entry.kind);
    // At most the longest name and a token in front of it, which 16 bits can say.
    names.extend_from_slice(&(encoded.len() as u16).to_le_bytes());
    names.extend_from_slice(&encoded);
}

/// Appends the sidecar for `entries` to `out`, which ends where the sidecar starts.
fn write_sidecar(out: &mut Vec<u8>, entries: &[Entry]) {
    let demangled = demangled_index(entries);
    let mut parts: Vec<u8> = Vec::new();
    for entry in entries {
        parts.extend_from_slice(&entry.size.to_le_bytes());
    }
    for outer in enclosing(entries) {
        parts.extend_from_slice(&outer.to_le_bytes());
    }
    for &(hash, symbol) in &demangled {
        let entry = DemangledEntry {
            hash: U32::new(hash),
            symbol: U32::new(symbol),
        };
        parts.extend_from_slice(entry.as_bytes());
    }
    let mut header = Header {
        magic: U64::new(sidecar::MAGIC),
        total: U64::new((size_of::<Header>() + parts.len()) as u64),
        symbols: U64::new(entries.len() as u64),
        demangled: U64::new(demangled.len() as u64),
        checksum: U64::new(0),
    };
    header.checksum = U64::new(sidecar::checksum(out, &header, &parts));
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&parts);
}

/// Returns the index of demangled names: the hash of each form of a name, and the symbol.
fn demangled_index(entries: &[Entry]) -> Vec<(u32, u32)> {
    let mut index = Vec::new();
    let mut plain = String::new();
    for (symbol, entry) in (0..).zip(entries) {
        let demangled = Demangled::new(&entry.name);
        if !demangled.is_mangled() {
            continue;
        }
        let demangled = demangled.to_string();
        index.push((hash(&demangled), symbol));
        if write_plain(&demangled, &mut plain) {
            index.push((hash(&plain), symbol));
        }
    }
    index.sort_unstable();
    index.dedup();
    index
}

/// Returns the key of `name` in the index of demangled names.
fn hash(name: &str) -> u32 {
    let mut fnv = Fnv::new();
    fnv.add(name.as_bytes());
    fnv.finish_short()
}

/// Returns for each entry the last one before it that reaches over its start.
fn enclosing(entries: &[Entry]) -> Vec<u32> {
    let end = |i: u32| {
        let entry = &entries[i as usize];
        entry.addr + u64::from(entry.size)
    };
    let mut open: Vec<u32> = Vec::new();
    (0..)
        .zip(entries)
        .map(|(i, entry)| {
            open.retain(|&outer| end(outer) > entry.addr);
            let outer = open.last().copied().unwrap_or(NONE);
            open.push(i);
            outer
        })
        .collect()
}
