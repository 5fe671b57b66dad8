//! One field of a key or value.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use crate::shell::complaint::{Complaint, shortened};

/// How a field of a key or value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Unsigned,
    Signed,
    Hex,
    /// An address, by its name if it has one.
    Symbol,
    /// Text up to its first zero.
    Text,
}

/// The most bytes that one field of text has.
const MAX_TEXT: usize = 4096;

/// One field: a number of 1, 2, 4 or 8 bytes, or text of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) style: Style,
    pub(super) size: usize,
}

impl Field {
    pub(super) fn parse(name: &str) -> Result<Self, Complaint> {
        let bad = || {
            Complaint::new(format!("`{}` is no field of a layout", shortened(name))).hint(
                "fields are u8 to u64, s8 to s64, x8 to x64 (hex), `sym` (an address by its name), \
                     `text16` (text in 16 bytes) and `bytes`: u32,u32,x64",
            )
        };
        if name == "sym" {
            return Ok(Self {
                style: Style::Symbol,
                size: 8,
            });
        }
        if let Some(len) = name.strip_prefix("text") {
            let size = len
                .parse()
                .ok()
                .filter(|size| (1..=MAX_TEXT).contains(size));
            return Ok(Self {
                style: Style::Text,
                size: size.ok_or_else(bad)?,
            });
        }
        let (style, bits) = name.split_at_checked(1).ok_or_else(bad)?;
        let style = match style {
            "u" => Style::Unsigned,
            "s" | "i" => Style::Signed,
            "x" => Style::Hex,
            _ => return Err(bad()),
        };
        let size = match bits {
            "8" => 1,
            "16" => 2,
            "32" => 4,
            "64" => 8,
            _ => return Err(bad()),
        };
        Ok(Self { style, size })
    }

    fn signed(self, bytes: &[u8]) -> i64 {
        let shift = 64 - 8 * self.size as u32;
        (raw(bytes) << shift).cast_signed() >> shift
    }

    pub(super) fn order(self, bytes: &[u8]) -> u64 {
        match self.style {
            // The sign bit turned over puts the negative numbers first.
            Style::Signed => self.signed(bytes).cast_unsigned() ^ 1 << 63,
            Style::Unsigned | Style::Hex | Style::Symbol => raw(bytes),
            // The first letters come first.
            Style::Text => bytes
                .iter()
                .chain(core::iter::repeat(&0))
                .take(8)
                .fold(0, |order, byte| order << 8 | u64::from(*byte)),
        }
    }

    pub(super) fn show(self, bytes: &[u8], text: &mut String) {
        if self.style == Style::Text {
            return show_text(bytes, text);
        }
        let raw = raw(bytes);
        let shown = match self.style {
            Style::Unsigned => write!(text, "{raw}"),
            Style::Signed => write!(text, "{}", self.signed(bytes)),
            Style::Hex | Style::Symbol | Style::Text => write!(text, "{raw:#x}"),
        };
        debug_assert!(shown.is_ok(), "a String takes everything");
    }

    pub(super) fn read(self, text: &str) -> Result<Vec<u8>, Complaint> {
        if self.style == Style::Text {
            return self.read_text(text);
        }
        let (digits, negative) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let magnitude = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        let bits = 8 * self.size as u32;
        let fits = |number: u64| {
            let limit = u64::MAX >> (64 - bits);
            if negative {
                number <= limit / 2 + 1
            } else {
                number <= limit
            }
        };
        let number = magnitude.filter(|number| fits(*number)).ok_or_else(|| {
            Complaint::new(format!("`{}` is no number of {bits} bits", shortened(text)))
                .hint("write it in decimal, or in hex with 0x")
        })?;
        let number = if negative {
            number.wrapping_neg()
        } else {
            number
        };
        let bytes = if cfg!(target_endian = "big") {
            (number << (64 - bits)).to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        Ok(bytes.into_iter().take(self.size).collect())
    }

    fn read_text(self, text: &str) -> Result<Vec<u8>, Complaint> {
        let mut bytes = Vec::from(text);
        if bytes.len() > self.size {
            return Err(Complaint::new(format!(
                "`{}` has more than {} bytes",
                shortened(text),
                self.size
            )));
        }
        bytes.resize(self.size, 0);
        Ok(bytes)
    }
}

/// Writes text up to its first zero; what is not printable, or would end the field, as `?`.
fn show_text(bytes: &[u8], text: &mut String) {
    let shown = bytes.iter().take_while(|byte| **byte != 0);
    text.extend(shown.map(|byte| match byte {
        b',' => '?',
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    }));
}

/// The number in at most 8 bytes, in the byte order of the machine.
pub(super) fn raw(bytes: &[u8]) -> u64 {
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if cfg!(target_endian = "big") {
        bytes.iter().fold(0, fold)
    } else {
        bytes.iter().rev().fold(0, fold)
    }
}
