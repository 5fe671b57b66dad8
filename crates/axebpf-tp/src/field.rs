//! What an event's fields can be, and where they lie in its record.

use core::fmt;

/// Counts the bytes of the header that every record starts with (Linux's `struct trace_entry`).
pub const HEADER_LEN: usize = 8;

/// Bounds the bytes of one record, its header included.
pub const MAX_RECORD_LEN: usize = 512;

/// Tells how a field's value is stored and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// An unsigned integer of 1, 2, 4 or 8 bytes.
    Unsigned {
        /// Its size in bytes.
        size: usize,
        /// How it is printed.
        radix: Radix,
    },
    /// A two's complement integer of 1, 2, 4 or 8 bytes.
    Signed {
        /// Its size in bytes.
        size: usize,
    },
    /// One byte, 0 or 1.
    Bool,
    /// A string of at most `len - 1` bytes in a NUL-terminated array.
    Chars {
        /// The size of the array in bytes.
        len: usize,
    },
}

/// Tells in which base a number is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radix {
    /// Decimal, for counts, ids and times.
    Decimal,
    /// Hexadecimal with `0x`, for addresses, register values and bit masks.
    Hex,
}

impl FieldType {
    /// Returns the bytes that a value occupies.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Unsigned { size, .. } | Self::Signed { size } => size,
            Self::Bool => 1,
            Self::Chars { len } => len,
        }
    }

    /// Returns the alignment in bytes, that of the C type.
    #[must_use]
    pub const fn align(self) -> usize {
        match self {
            Self::Unsigned { size, .. } | Self::Signed { size } => size,
            Self::Bool | Self::Chars { .. } => 1,
        }
    }

    /// Tells whether the C type is signed, as the `signed:` column of a tracefs format says.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Signed { .. })
    }

    /// Returns the C type (for [`Chars`](Self::Chars), of one element).
    #[must_use]
    pub const fn c_type(self) -> &'static str {
        match self {
            Self::Unsigned { size: 1, .. } => "unsigned char",
            Self::Unsigned { size: 2, .. } => "unsigned short",
            Self::Unsigned { size: 4, .. } => "unsigned int",
            Self::Unsigned { .. } => "unsigned long",
            Self::Signed { size: 1 } => "signed char",
            Self::Signed { size: 2 } => "short",
            Self::Signed { size: 4 } => "int",
            Self::Signed { .. } => "long",
            Self::Bool => "bool",
            Self::Chars { .. } => "char",
        }
    }

    /// Returns the `printf` conversion that the print format uses.
    pub(crate) const fn conversion(self) -> &'static str {
        match self {
            Self::Unsigned {
                size: 8,
                radix: Radix::Decimal,
            } => "%lu",
            Self::Unsigned {
                size: 8,
                radix: Radix::Hex,
            } => "0x%lx",
            Self::Unsigned {
                radix: Radix::Decimal,
                ..
            } => "%u",
            Self::Unsigned {
                radix: Radix::Hex, ..
            } => "0x%x",
            Self::Signed { size: 8 } => "%ld",
            Self::Signed { .. } => "%d",
            Self::Bool => "%d",
            Self::Chars { .. } => "%s",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chars { len } => write!(f, "char[{len}]"),
            other => f.write_str(other.c_type()),
        }
    }
}

/// Describes one field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    name: &'static str,
    help: &'static str,
    ty: FieldType,
    offset: usize,
}

impl Field {
    /// Declares a field whose place is not known yet.
    #[doc(hidden)]
    #[must_use]
    pub const fn declare(name: &'static str, help: &'static str, ty: FieldType) -> Self {
        Self {
            name,
            help,
            ty,
            offset: 0,
        }
    }

    /// Describes a field of a record that is no event's, `offset` bytes into it.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, ty: FieldType, offset: usize) -> Self {
        Self {
            name,
            help,
            ty,
            offset,
        }
    }

    /// Puts the field at an offset.
    pub(crate) const fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what the field means: its doc comment, lines separated by newlines.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.help
    }

    /// Returns the type.
    #[must_use]
    pub const fn ty(&self) -> FieldType {
        self.ty
    }

    /// Returns the offset in the record in bytes; the header counts.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.ty.size()
    }

    /// Tells whether the C type is signed.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.ty.is_signed()
    }

    /// Returns the field's bytes in `record`, or `None` where the record is too short.
    #[must_use]
    pub fn bytes<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        record.get(self.offset..)?.get(..self.size())
    }

    /// Returns the value in `record`, or `None` where the record is too short.
    #[must_use]
    pub fn value<'r>(&self, record: &'r [u8]) -> Option<FieldValue<'r>> {
        let bytes = self.bytes(record)?;
        Some(match self.ty {
            FieldType::Unsigned { .. } => FieldValue::Unsigned(read_unsigned(bytes)),
            FieldType::Signed { size } => {
                let shift = 64 - 8 * size as u32;
                FieldValue::Signed((read_unsigned(bytes) << shift) as i64 >> shift)
            }
            FieldType::Bool => FieldValue::Bool(read_unsigned(bytes) != 0),
            FieldType::Chars { .. } => FieldValue::Text(until_nul(bytes)),
        })
    }

    /// Writes the value in `record` as the print format says; `?` where the record is too short.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn print(&self, record: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
        match (self.value(record), self.ty) {
            (
                Some(FieldValue::Unsigned(value)),
                FieldType::Unsigned {
                    radix: Radix::Hex, ..
                },
            ) => {
                write!(out, "{value:#x}")
            }
            (Some(FieldValue::Unsigned(value)), _) => write!(out, "{value}"),
            (Some(FieldValue::Signed(value)), _) => write!(out, "{value}"),
            (Some(FieldValue::Bool(value)), _) => write!(out, "{}", u8::from(value)),
            (Some(FieldValue::Text(text)), _) => print_text(text, out),
            (None, _) => out.write_char('?'),
        }
    }
}

/// Writes text with everything that is not printable escaped.
fn print_text(text: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                write!(out, "{}", c.escape_default())?;
            } else {
                out.write_char(c)?;
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Holds the value of a field, read from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue<'r> {
    /// An unsigned integer.
    Unsigned(u64),
    /// A signed integer.
    Signed(i64),
    /// A truth value.
    Bool(bool),
    /// A string, without its NUL.
    Text(&'r [u8]),
}

/// Reads an integer of 1, 2, 4 or 8 bytes in the machine's own order; 0 for any other length.
pub(crate) fn read_unsigned(bytes: &[u8]) -> u64 {
    match *bytes {
        [byte] => byte.into(),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// Returns what lies before the first NUL.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    &bytes[..len]
}
