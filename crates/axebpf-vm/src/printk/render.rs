//! From a recorded message to text, on the reader's side.

use core::fmt::{self, Write};

use super::format::{Conversion, Padding, Piece, Pieces};
use super::{MAX_PRINTK_STRING, PrintkRecord};

impl fmt::Display for PrintkRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = self.args.iter().copied();
        let mut strings = self.text.split(|byte| *byte == 0);
        for piece in Pieces::new(self.format()) {
            match piece {
                Piece::Literal(bytes) | Piece::Invalid(bytes) => write_bytes(f, bytes)?,
                Piece::Value(padding, Conversion::Str) => {
                    args.next();
                    let text = strings.next().unwrap_or(b"(missing)");
                    write_text(f, padding, text)?;
                }
                Piece::Value(padding, conversion) => match args.next() {
                    Some(value) => write_value(f, padding, conversion, value)?,
                    None => f.write_str("(missing)")?,
                },
            }
        }
        Ok(())
    }
}

/// Writes bytes that should be UTF-8, with replacement characters where they are not.
fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

fn fill(f: &mut fmt::Formatter<'_>, with: char, count: usize) -> fmt::Result {
    (0..count).try_for_each(|_| f.write_char(with))
}

fn write_text(f: &mut fmt::Formatter<'_>, padding: Padding, text: &[u8]) -> fmt::Result {
    let text = text.get(..MAX_PRINTK_STRING).unwrap_or(text);
    let blanks = padding.width.saturating_sub(text.len());
    if !padding.left {
        fill(f, ' ', blanks)?;
    }
    write_bytes(f, text)?;
    if padding.left {
        fill(f, ' ', blanks)
    } else {
        Ok(())
    }
}

/// The digits of a number, the last one in the last byte.
struct Digits {
    bytes: [u8; 20],
    len: usize,
}

impl Digits {
    fn new(mut value: u64, base: u64, letters: &[u8; 16]) -> Self {
        let mut digits = Self {
            bytes: [0; 20],
            len: 0,
        };
        loop {
            digits.len += 1;
            let at = digits.bytes.len() - digits.len;
            digits.bytes[at] = letters[(value % base) as usize & 0xf];
            value /= base;
            if value == 0 {
                return digits;
            }
        }
    }

    fn as_str(&self) -> &str {
        let digits = self.bytes.get(self.bytes.len() - self.len..).unwrap_or(&[]);
        core::str::from_utf8(digits).unwrap_or("?")
    }
}

/// Cuts `value` to its low `bits` bits, 32 or 64.
fn cut(value: u64, bits: u32) -> u64 {
    if bits == 32 {
        u64::from(value as u32)
    } else {
        value
    }
}

fn write_value(
    f: &mut fmt::Formatter<'_>,
    padding: Padding,
    conversion: Conversion,
    value: u64,
) -> fmt::Result {
    const SMALL: &[u8; 16] = b"0123456789abcdef";
    const CAPITAL: &[u8; 16] = b"0123456789ABCDEF";
    let plus = if padding.plus {
        "+"
    } else if padding.space {
        " "
    } else {
        ""
    };
    let (prefix, digits) = match conversion {
        Conversion::Signed(bits) => {
            let value = if bits == 32 {
                i64::from(value as i32)
            } else {
                value as i64
            };
            let sign = if value < 0 { "-" } else { plus };
            (sign, Digits::new(value.unsigned_abs(), 10, SMALL))
        }
        Conversion::Unsigned(bits) => ("", Digits::new(cut(value, bits), 10, SMALL)),
        Conversion::Hex(bits) => {
            let prefix = if padding.alternate { "0x" } else { "" };
            (prefix, Digits::new(cut(value, bits), 16, SMALL))
        }
        Conversion::HexUpper(bits) => {
            let prefix = if padding.alternate { "0X" } else { "" };
            (prefix, Digits::new(cut(value, bits), 16, CAPITAL))
        }
        Conversion::Pointer => ("0x", Digits::new(value, 16, SMALL)),
        Conversion::Char | Conversion::Str => return write_text(f, padding, &[value as u8]),
    };
    write_number(f, padding, prefix, digits.as_str())
}

fn write_number(
    f: &mut fmt::Formatter<'_>,
    padding: Padding,
    prefix: &str,
    digits: &str,
) -> fmt::Result {
    let blanks = padding.width.saturating_sub(prefix.len() + digits.len());
    let zero = padding.zero && !padding.left;
    if !zero && !padding.left {
        fill(f, ' ', blanks)?;
    }
    f.write_str(prefix)?;
    if zero {
        fill(f, '0', blanks)?;
    }
    f.write_str(digits)?;
    if padding.left {
        fill(f, ' ', blanks)
    } else {
        Ok(())
    }
}
