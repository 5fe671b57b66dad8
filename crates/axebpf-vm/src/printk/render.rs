//! From a format and its values to text: on the reader's side, and for `snprintf`.

use core::fmt::{self, Write};

use super::format::{AddressForm, Conversion, Padding, Piece, Pieces};
use super::{MAX_PRINTK_STRING, PrintkRecord};

/// Takes the text that is made of a format.
pub(crate) trait Output {
    /// Why text cannot be taken.
    type Error;

    /// Takes text, which should be UTF-8.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Takes the name of an address, and tells whether it has one.
    fn name(&mut self, address: u64, form: AddressForm) -> Result<Named, Self::Error> {
        let _ = (address, form);
        Ok(Named::No)
    }
}

/// Whether an address was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Yes,
    No,
}

/// Makes text of a format, its values, and the strings of those values that have one.
pub(crate) fn render<O: Output>(
    pieces: Pieces<'_>,
    args: &[u64],
    text: &[u8],
    out: &mut O,
) -> Result<(), O::Error> {
    let mut args = args.iter().copied();
    let mut strings = text.split(|byte| *byte == 0);
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) | Piece::Invalid(bytes) => out.bytes(bytes)?,
            Piece::Value(padding, conversion) if conversion.has_text() => {
                args.next();
                let text = strings.next().unwrap_or(b"(missing)");
                write_text(out, padding, text)?;
            }
            Piece::Value(padding, conversion) => match args.next() {
                Some(value) => write_value(out, padding, conversion, value)?,
                None => out.bytes(b"(missing)")?,
            },
        }
    }
    Ok(())
}

/// Knows the names of addresses, for the conversions `%ps`, `%pS` and `%pB`.
pub trait AddressNames {
    /// Writes the name of `address` in `form`. Called by the reader, never during a hit.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    fn write_name(&self, address: u64, form: AddressForm, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// A message that is to become text, with names for its addresses.
#[derive(Clone, Copy)]
pub struct NamedPrintk<'r> {
    record: PrintkRecord<'r>,
    names: &'r dyn AddressNames,
}

impl<'r> PrintkRecord<'r> {
    /// Returns what displays the message with names in the place of `%ps`, `%pS` and `%pB`; without, they are numbers.
    #[must_use]
    pub const fn with_names(self, names: &'r dyn AddressNames) -> NamedPrintk<'r> {
        NamedPrintk {
            record: self,
            names,
        }
    }
}

impl fmt::Debug for NamedPrintk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl fmt::Display for PrintkRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Reader { f, names: None };
        render(Pieces::new(self.format()), self.args, self.text, &mut out)
    }
}

impl fmt::Display for NamedPrintk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let mut out = Reader {
            f,
            names: Some(self.names),
        };
        let pieces = Pieces::new(record.format());
        render(pieces, record.args, record.text, &mut out)
    }
}

/// The reader's side: a formatter, and who knows names.
struct Reader<'a, 'f, 'n> {
    f: &'a mut fmt::Formatter<'f>,
    names: Option<&'n dyn AddressNames>,
}

impl Output for Reader<'_, '_, '_> {
    type Error = fmt::Error;

    /// Writes bytes with replacement characters where they are no UTF-8.
    fn bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        for chunk in bytes.utf8_chunks() {
            self.f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                self.f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, address: u64, form: AddressForm) -> Result<Named, fmt::Error> {
        let Some(names) = self.names else {
            return Ok(Named::No);
        };
        names.write_name(address, form, self.f)?;
        Ok(Named::Yes)
    }
}

fn fill<O: Output>(out: &mut O, with: u8, count: usize) -> Result<(), O::Error> {
    (0..count).try_for_each(|_| out.bytes(&[with]))
}

fn write_text<O: Output>(out: &mut O, padding: Padding, text: &[u8]) -> Result<(), O::Error> {
    let text = text.get(..MAX_PRINTK_STRING).unwrap_or(text);
    let blanks = padding.width.saturating_sub(text.len());
    if !padding.left {
        fill(out, b' ', blanks)?;
    }
    out.bytes(text)?;
    if padding.left {
        fill(out, b' ', blanks)
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

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.bytes.len() - self.len..).unwrap_or(&[])
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

fn write_value<O: Output>(
    out: &mut O,
    padding: Padding,
    conversion: Conversion,
    value: u64,
) -> Result<(), O::Error> {
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
        Conversion::Named(form) if out.name(value, form)? == Named::Yes => return Ok(()),
        Conversion::Pointer | Conversion::Named(_) => ("0x", Digits::new(value, 16, SMALL)),
        Conversion::Char | Conversion::Str | Conversion::Ip(_) => {
            return write_text(out, padding, &[value as u8]);
        }
    };
    write_number(out, padding, prefix, digits.as_bytes())
}

fn write_number<O: Output>(
    out: &mut O,
    padding: Padding,
    prefix: &str,
    digits: &[u8],
) -> Result<(), O::Error> {
    let blanks = padding.width.saturating_sub(prefix.len() + digits.len());
    let zero = padding.zero && !padding.left;
    if !zero && !padding.left {
        fill(out, b' ', blanks)?;
    }
    out.bytes(prefix.as_bytes())?;
    if zero {
        fill(out, b'0', blanks)?;
    }
    out.bytes(digits)?;
    if padding.left {
        fill(out, b' ', blanks)
    } else {
        Ok(())
    }
}
