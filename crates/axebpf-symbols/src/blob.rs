//! `ksym`'s blob: where its parts are, and the check that all of them are what they should be.
//!
//! `ksym`'s own reader makes slices out of the blob by its address and follows every offset in it, so it
//! must see nothing that has not passed [`Blob::parse`]. The layout, all little-endian, each part aligned
//! from the start of the blob:
//!
//! | part | content |
//! |---|---|
//! | header | `u64` length of all, `u64` number `n` of symbols |
//! | addresses | `n` × `u64`, ascending |
//! | offsets | `n` × `u32` into the names |
//! | name order | `n` × `u32`, the symbols sorted by name |
//! | names | aligned to 8: `u64` length, then for each symbol type, `u16` length and the encoded name |
//! | token table | aligned to 8: `u64` length, then text |
//! | token index | aligned to 8: `u64` number, then as many `u32` into the token table |
//!
//! An encoded name is text, or `FF` token `FF` text with a token number of one byte, or of two with the
//! high one first. A number of two bytes that ends in `FF` reads as one of one byte. `ksym`'s writer uses
//! such a one, 511, when it has many prefixes; its reader shows the names that use it as empty, and here
//! such a blob is refused.

use ksym::{KSYM_NAME_LEN, TOKEN_MARKER};
use zerocopy::little_endian::{U32, U64};

use crate::cursor::Cursor;
use crate::{Part, SymbolError, SymbolName};

/// The alignment that `ksym`'s reader needs.
pub(crate) const ALIGN: usize = 8;
/// The largest number of symbols: indices are `u32`, and the last of those means none.
pub(crate) const MAX_SYMBOLS: u64 = u32::MAX as u64 - 1;
/// The length of the type and the length in front of an encoded name.
const RECORD_HEADER: usize = 3;

/// The parts of a blob.
#[derive(Clone, Copy)]
pub(crate) struct Blob<'a> {
    /// All of it, and nothing else.
    pub(crate) bytes: &'a [u8],
    pub(crate) addresses: &'a [U64],
    pub(crate) offsets: &'a [U32],
    pub(crate) name_order: &'a [U32],
    pub(crate) names: &'a [u8],
    pub(crate) token_table: &'a [u8],
    pub(crate) token_index: &'a [U32],
}

/// One name record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The type of the symbol, as `nm` shows it.
    pub(crate) kind: u8,
    /// The encoded name.
    encoded: &'a [u8],
}

impl Record<'_> {
    /// Returns the length of the whole record in bytes.
    pub(crate) fn len(&self) -> usize {
        RECORD_HEADER + self.encoded.len()
    }
}

/// An encoded name, taken apart.
struct Encoded<'a> {
    token: Option<u16>,
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Takes `bytes` apart with the rule of `ksym`'s reader: the short form is tried first.
    fn parse(bytes: &'a [u8]) -> Self {
        match *bytes {
            [TOKEN_MARKER, id, TOKEN_MARKER, ..] => Self {
                token: Some(u16::from(id)),
                text: &bytes[3..],
            },
            [TOKEN_MARKER, high, low, TOKEN_MARKER, ..] => Self {
                token: Some(u16::from_be_bytes([high, low])),
                text: &bytes[4..],
            },
            _ => Self {
                token: None,
                text: bytes,
            },
        }
    }
}

impl<'a> Blob<'a> {
    /// Finds the parts of the blob at the start of `bytes` and checks them all.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, SymbolError> {
        let blob = Self::split(bytes)?;
        blob.check()?;
        Ok(blob)
    }

    /// Finds the parts.
    fn split(bytes: &'a [u8]) -> Result<Self, SymbolError> {
        let total = Cursor::new(bytes).number(Part::Header)?;
        let bytes = Cursor::new(bytes).bytes(Part::Header, total)?;
        let mut cursor = Cursor::new(bytes);
        cursor.number(Part::Header)?;
        let count = cursor.number(Part::Header)?;
        if count > MAX_SYMBOLS {
            return Err(SymbolError::TooManySymbols {
                count,
                limit: MAX_SYMBOLS,
            });
        }
        let addresses = cursor.array(Part::Addresses, count)?;
        let offsets = cursor.array(Part::Offsets, count)?;
        let name_order = cursor.array(Part::NameOrder, count)?;
        let names = prefixed(&mut cursor, Part::Names)?;
        let token_table = prefixed(&mut cursor, Part::TokenTable)?;
        cursor.align(ALIGN);
        let len = cursor.number(Part::TokenIndex)?;
        let token_index = cursor.array(Part::TokenIndex, len)?;
        if cursor.position() as u64 != total {
            return Err(SymbolError::WrongEnd {
                part: Part::TokenIndex,
                expected: total,
                actual: cursor.position() as u64,
            });
        }
        Ok(Self {
            bytes,
            addresses,
            offsets,
            name_order,
            names,
            token_table,
            token_index,
        })
    }

    /// Returns the name record of symbol `index`, if it is in bounds.
    pub(crate) fn record(&self, index: usize) -> Option<Record<'a>> {
        let start = usize::try_from(self.offsets.get(index)?.get()).ok()?;
        let (header, rest) = self.names.get(start..)?.split_at_checked(RECORD_HEADER)?;
        let len = u16::from_le_bytes([header[1], header[2]]);
        Some(Record {
            kind: header[0],
            encoded: rest.get(..usize::from(len))?,
        })
    }

    /// Returns the name in `record`, if its token is there and all of it is UTF-8.
    pub(crate) fn name(&self, record: Record<'a>) -> Option<SymbolName<'a>> {
        let encoded = Encoded::parse(record.encoded);
        let prefix = match encoded.token {
            Some(token) => self.token(usize::from(token))?,
            None => "",
        };
        let rest = core::str::from_utf8(encoded.text).ok()?;
        Some(SymbolName::new(prefix, rest))
    }

    /// Returns the name of symbol `index`; an empty one if there is no such symbol.
    pub(crate) fn name_of(&self, index: usize) -> SymbolName<'a> {
        self.record(index)
            .and_then(|record| self.name(record))
            .unwrap_or(SymbolName::new("", ""))
    }

    /// Returns the text of `token`, if there is such a token.
    fn token(&self, token: usize) -> Option<&'a str> {
        let start = self.token_index.get(token)?.get() as usize;
        let end = match self.token_index.get(token + 1) {
            Some(next) => next.get() as usize,
            None => self.token_table.len(),
        };
        core::str::from_utf8(self.token_table.get(start..end)?).ok()
    }

    /// Checks every entry of every part.
    fn check(&self) -> Result<(), SymbolError> {
        if let Some(index) = self
            .addresses
            .windows(2)
            .position(|w| w[0].get() > w[1].get())
        {
            return Err(SymbolError::OutOfOrder {
                part: Part::Addresses,
                index: index as u64 + 1,
            });
        }
        self.check_tokens()?;
        self.check_names()?;
        crate::check::references(Part::NameOrder, self.name_order, self.addresses.len())?;
        crate::check::distinct(Part::NameOrder, self.name_order)?;
        self.check_name_order()
    }

    /// Checks that the tokens lie one behind the other in the token table and are text.
    fn check_tokens(&self) -> Result<(), SymbolError> {
        let part = Part::TokenIndex;
        let limit = self.token_table.len();
        let mut last = 0;
        for (index, start) in self.token_index.iter().enumerate() {
            let index = index as u64;
            if start.get() < last {
                return Err(SymbolError::OutOfOrder { part, index });
            }
            if start.get() as usize > limit {
                return Err(SymbolError::BadReference {
                    part,
                    index,
                    value: u64::from(start.get()),
                    limit: limit as u64 + 1,
                });
            }
            last = start.get();
        }
        match (0..self.token_index.len()).find(|&token| self.token(token).is_none()) {
            Some(token) => Err(SymbolError::NotUtf8 {
                part: Part::TokenTable,
                index: token as u64,
            }),
            None => Ok(()),
        }
    }

    /// Checks that the name records lie one behind the other, fill their part, and can be decoded.
    fn check_names(&self) -> Result<(), SymbolError> {
        let part = Part::Names;
        let mut end = 0;
        for (index, offset) in self.offsets.iter().enumerate() {
            if offset.get() as usize != end {
                return Err(SymbolError::MisplacedName {
                    index: index as u64,
                    expected: end as u64,
                    found: u64::from(offset.get()),
                });
            }
            let record = self.record(index).ok_or(SymbolError::Truncated {
                part,
                need: end as u64 + RECORD_HEADER as u64,
                have: self.names.len() as u64,
            })?;
            self.check_record(index as u64, record)?;
            end += record.len();
        }
        if end != self.names.len() {
            return Err(SymbolError::WrongEnd {
                part,
                expected: self.names.len() as u64,
                actual: end as u64,
            });
        }
        Ok(())
    }

    /// Checks the type and the name of one symbol.
    fn check_record(&self, index: u64, record: Record<'a>) -> Result<(), SymbolError> {
        let part = Part::Names;
        if !record.kind.is_ascii_alphabetic() {
            return Err(SymbolError::BadKind {
                index,
                kind: record.kind,
            });
        }
        if let Some(token) = Encoded::parse(record.encoded).token
            && usize::from(token) >= self.token_index.len()
        {
            return Err(SymbolError::BadReference {
                part,
                index,
                value: u64::from(token),
                limit: self.token_index.len() as u64,
            });
        }
        let name = self
            .name(record)
            .ok_or(SymbolError::NotUtf8 { part, index })?;
        // The reader indexes the first byte of the record, and it cuts names at the limit.
        if record.encoded.is_empty() || name.is_empty() || name.len() > KSYM_NAME_LEN {
            return Err(SymbolError::BadNameLen {
                index,
                len: name.len() as u64,
                limit: KSYM_NAME_LEN as u64,
            });
        }
        Ok(())
    }

    /// Checks that the name order is one, which the search by name relies on.
    fn check_name_order(&self) -> Result<(), SymbolError> {
        let name = |entry: &U32| self.name_of(entry.get() as usize);
        let late = self
            .name_order
            .windows(2)
            .position(|w| name(&w[0]).bytes().gt(name(&w[1]).bytes()));
        match late {
            Some(index) => Err(SymbolError::OutOfOrder {
                part: Part::NameOrder,
                index: index as u64 + 1,
            }),
            None => Ok(()),
        }
    }
}

/// Takes a part that has its length in front of it.
fn prefixed<'a>(cursor: &mut Cursor<'a>, part: Part) -> Result<&'a [u8], SymbolError> {
    cursor.align(ALIGN);
    let len = cursor.number(part)?;
    cursor.bytes(part, len)
}
