//! The format language of `bpf_trace_printk`, taken apart.

/// What a conversion prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// A signed decimal number of this many bits.
    Signed(u32),
    /// An unsigned decimal number of this many bits.
    Unsigned(u32),
    /// A hexadecimal number of this many bits, in small letters.
    Hex(u32),
    /// A hexadecimal number of this many bits, in capital letters.
    HexUpper(u32),
    /// A character.
    Char,
    /// A string.
    Str,
    /// An IP address of this form, which is taken along as a string.
    Ip(IpForm),
    /// An address.
    Pointer,
    /// An address, for which the reader puts a name.
    Named(AddressForm),
}

/// How an IP address is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpForm {
    /// `%pi4`: four numbers of three digits.
    V4Padded,
    /// `%pI4`: four numbers.
    V4,
    /// `%pi6`: 32 hexadecimal digits.
    V6Bare,
    /// `%pI6`: eight groups of four hexadecimal digits.
    V6,
}

/// How a name is put for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressForm {
    /// `%ps`: the name alone.
    Name,
    /// `%pS`: the name, the offset and the size, `name+0x10/0x40`.
    NameAndOffset,
    /// `%pB`: as `%pS`, for a return address: what is named is the call before it.
    ReturnAddress,
}

impl Conversion {
    /// Tells whether the value comes with a string that is taken along.
    pub(crate) const fn has_text(self) -> bool {
        matches!(self, Self::Str | Self::Ip(_))
    }
}

/// The flags and the width of a conversion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Padding {
    pub(crate) left: bool,
    pub(crate) zero: bool,
    pub(crate) plus: bool,
    pub(crate) space: bool,
    pub(crate) alternate: bool,
    pub(crate) width: usize,
}

/// The largest width; larger ones are cut to it.
const MAX_WIDTH: usize = 255;

/// A part of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'f> {
    /// Bytes that stand for themselves.
    Literal(&'f [u8]),
    /// A place for a value.
    Value(Padding, Conversion),
    /// Something that is no valid conversion.
    Invalid(&'f [u8]),
}

/// Goes through the parts of a format, which ends at its first NUL.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'f> {
    rest: &'f [u8],
}

impl<'f> Pieces<'f> {
    pub(crate) fn new(format: &'f [u8]) -> Self {
        let end = format
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(format.len());
        Self {
            rest: format.get(..end).unwrap_or(format),
        }
    }

    fn take(&mut self, len: usize) -> &'f [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// Takes the next byte if it is `byte`.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.take(1);
        }
        found
    }

    fn padding(&mut self) -> Padding {
        let mut padding = Padding::default();
        while let Some(flag) = self.rest.first() {
            match flag {
                b'-' => padding.left = true,
                b'0' => padding.zero = true,
                b'+' => padding.plus = true,
                b' ' => padding.space = true,
                b'#' => padding.alternate = true,
                _ => break,
            }
            self.take(1);
        }
        while let Some(digit @ b'0'..=b'9') = self.rest.first() {
            padding.width = (padding.width * 10 + usize::from(digit - b'0')).min(MAX_WIDTH);
            self.take(1);
        }
        padding
    }

    fn conversion(&mut self) -> Option<Conversion> {
        // `long` has 64 bits on every machine that axebpf runs on.
        let long = self.eat(b'l');
        if long {
            self.eat(b'l');
        }
        let bits = if long { 64 } else { 32 };
        let conversion = match *self.rest.first()? {
            b'd' | b'i' => Conversion::Signed(bits),
            b'u' => Conversion::Unsigned(bits),
            b'x' => Conversion::Hex(bits),
            b'X' => Conversion::HexUpper(bits),
            b'c' if !long => Conversion::Char,
            b's' if !long => Conversion::Str,
            b'p' if !long => Conversion::Pointer,
            _ => return None,
        };
        self.take(1);
        if conversion == Conversion::Pointer {
            return Some(self.pointer());
        }
        Some(conversion)
    }

    /// Takes what says what is behind a `%p`.
    fn pointer(&mut self) -> Conversion {
        const FORMS: [(&[u8], Conversion); 11] = [
            (b"ks", Conversion::Str),
            (b"us", Conversion::Str),
            (b"i4", Conversion::Ip(IpForm::V4Padded)),
            (b"I4", Conversion::Ip(IpForm::V4)),
            (b"i6", Conversion::Ip(IpForm::V6Bare)),
            (b"I6", Conversion::Ip(IpForm::V6)),
            (b"s", Conversion::Named(AddressForm::Name)),
            (b"S", Conversion::Named(AddressForm::NameAndOffset)),
            (b"B", Conversion::Named(AddressForm::ReturnAddress)),
            // These print the address, too; nothing is hidden from whoever owns the hypervisor.
            (b"x", Conversion::Pointer),
            (b"K", Conversion::Pointer),
        ];
        let form = FORMS.iter().find(|(form, _)| self.rest.starts_with(form));
        form.map_or(Conversion::Pointer, |(form, conversion)| {
            self.take(form.len());
            *conversion
        })
    }
}

impl<'f> Iterator for Pieces<'f> {
    type Item = Piece<'f>;

    fn next(&mut self) -> Option<Piece<'f>> {
        let whole = self.rest;
        if whole.is_empty() {
            return None;
        }
        if !self.eat(b'%') {
            let end = whole
                .iter()
                .position(|byte| *byte == b'%')
                .unwrap_or(whole.len());
            return Some(Piece::Literal(self.take(end)));
        }
        if self.rest.first() == Some(&b'%') {
            return Some(Piece::Literal(self.take(1)));
        }
        let padding = self.padding();
        Some(match self.conversion() {
            Some(conversion) => Piece::Value(padding, conversion),
            None => {
                // What was not understood is shown from its percent sign on.
                let used = whole.len() - self.rest.len();
                Piece::Invalid(whole.get(..used).unwrap_or(whole))
            }
        })
    }
}
