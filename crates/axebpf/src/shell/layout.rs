//! Keys and values as numbers.

mod field;

use alloc::{format, string::String, vec::Vec};

use self::field::{Field, Style, raw};
use super::complaint::{Complaint, shortened};

/// The fields of a key or value, in their order, without gaps; what they do not cover is bytes in
/// hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Field>);

impl Layout {
    /// Chooses a layout for `len` bytes of which nothing else is known: one number if it can be
    /// one, `u32`s if those fit, and else bytes.
    pub(crate) fn guess(len: usize) -> Self {
        let field = |style, size| Field { style, size };
        match len {
            1 | 2 | 4 | 8 => Self([field(Style::Unsigned, len)].into()),
            _ if len.is_multiple_of(8) => {
                Self((0..len / 8).map(|_| field(Style::Hex, 8)).collect())
            }
            _ if len.is_multiple_of(4) => {
                Self((0..len / 4).map(|_| field(Style::Unsigned, 4)).collect())
            }
            _ => Self::default(),
        }
    }

    /// Reads a layout such as `u32,u32,x64`; it must fit into `len` bytes.
    pub(crate) fn parse(text: &str, len: usize) -> Result<Self, Complaint> {
        let mut fields = Vec::new();
        for name in text.split(',').filter(|name| *name != "bytes") {
            fields.push(Field::parse(name)?);
        }
        let covered: usize = fields.iter().map(|field| field.size).sum();
        if covered > len {
            return Err(Complaint::new(format!(
                "the layout `{}` has {covered} bytes, but there are only {len}",
                shortened(text)
            )));
        }
        Ok(Self(fields))
    }

    /// Returns the layout that an operator chose, or a guess.
    pub(crate) fn choose(text: Option<&str>, len: usize) -> Result<Self, Complaint> {
        text.map_or_else(|| Ok(Self::guess(len)), |text| Self::parse(text, len))
    }

    /// Returns `bytes` as the one number that they are, if the layout says that they are one.
    pub(crate) fn number(&self, bytes: &[u8]) -> Option<u64> {
        match self.0.as_slice() {
            [field] if field.size == bytes.len() && field.style != Style::Text => Some(raw(bytes)),
            _ => None,
        }
    }

    /// Returns what orders keys as an operator expects: their numbers, then the other bytes.
    pub(crate) fn order(&self, bytes: &[u8]) -> Vec<u64> {
        let mut rest = bytes;
        let mut order = Vec::with_capacity(self.0.len());
        for field in &self.0 {
            let Some((head, tail)) = rest.split_at_checked(field.size) else {
                break;
            };
            order.push(field.order(head));
            rest = tail;
        }
        order.extend(rest.iter().map(|byte| u64::from(*byte)));
        order
    }

    /// Tells whether there are addresses that are shown by their names.
    pub(crate) fn has_names(&self) -> bool {
        self.0.iter().any(|field| field.style == Style::Symbol)
    }

    /// Writes `bytes` as this layout says, addresses in hex.
    pub(crate) fn show(&self, bytes: &[u8]) -> String {
        self.show_named(bytes, &|_| None)
    }

    /// Writes `bytes` as this layout says; `name_of` knows the names of addresses.
    pub(crate) fn show_named(
        &self,
        bytes: &[u8],
        name_of: &dyn Fn(u64) -> Option<String>,
    ) -> String {
        let mut text = String::new();
        let mut rest = bytes;
        for field in &self.0 {
            let Some((head, tail)) = rest.split_at_checked(field.size) else {
                break;
            };
            separate(&mut text);
            let name = (field.style == Style::Symbol).then(|| name_of(raw(head)));
            match name.flatten() {
                Some(name) => text.push_str(&name),
                None => field.show(head, &mut text),
            }
            rest = tail;
        }
        if !rest.is_empty() {
            separate(&mut text);
            text.push_str(&hex(rest));
        }
        text
    }

    /// Reads what [`show`](Self::show) writes: numbers separated by commas, in decimal or hex, then
    /// bytes; or all as `hex:` and the bytes.
    pub(crate) fn read(&self, text: &str, len: usize) -> Result<Vec<u8>, Complaint> {
        let mut bytes = Vec::with_capacity(len);
        if let Some(digits) = text.strip_prefix("hex:") {
            bytes.extend(unhex(digits)?);
        } else {
            let mut parts = text.split(',');
            for field in &self.0 {
                let part = parts.next().ok_or_else(|| self.misfit(text))?;
                bytes.extend(field.read(part)?);
            }
            for part in parts {
                bytes.extend(unhex(part)?);
            }
        }
        if bytes.len() != len {
            return Err(Complaint::new(format!(
                "`{}` is {} bytes, not {len}",
                shortened(text),
                bytes.len()
            ))
            .hint(format!("this map has {}", self.describe(len))));
        }
        Ok(bytes)
    }

    fn misfit(&self, text: &str) -> Complaint {
        Complaint::new(format!(
            "`{}` has too few numbers: {} are needed",
            shortened(text),
            self.0.len()
        ))
        .hint("separate them by commas, without blanks: 1,0,36")
    }

    fn describe(&self, len: usize) -> String {
        match self.0.as_slice() {
            [] => format!("{len} bytes: two hex digits each"),
            [_] => format!("a number of {len} bytes"),
            fields => format!(
                "{} numbers in {len} bytes, separated by commas",
                fields.len()
            ),
        }
    }
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push(',');
    }
}

/// Writes two hex digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or('?'));
        }
    }
    text
}

fn unhex(digits: &str) -> Result<Vec<u8>, Complaint> {
    let bad = || {
        Complaint::new(format!("`{}` is not bytes in hex", shortened(digits)))
            .hint("write two hex digits for each byte, without blanks")
    };
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(bad());
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).map_err(|_| bad()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_a_zero_and_prints() {
        let layout = Layout::parse("u32,text8", 12).unwrap();
        let bytes = b"\x07\0\0\0sh -c\0\xff\xff";
        assert_eq!(layout.show(bytes), "7,sh -c");
        assert_eq!(layout.show(b"\x07\0\0\0a\n,b\0\0\0\0"), "7,a??b");
        assert_eq!(
            layout.read("7,init", 12).unwrap(),
            b"\x07\0\0\0init\0\0\0\0"
        );
        assert!(layout.read("7,longer than it", 12).is_err());
        assert!(Layout::parse("text0", 4).is_err());
        assert!(Layout::parse("textx", 4).is_err());
    }

    #[test]
    fn guesses_show_and_read_back() {
        for (bytes, text) in [
            (&[7u8][..], "7"),
            (&[1, 2], "513"),
            (&[1, 0, 0, 0, 2, 0, 0, 0, 36, 0, 0, 0], "1,2,36"),
            (&[0xff; 8], "18446744073709551615"),
            (
                &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
                "0x200000001,0x3",
            ),
            (&[1, 2, 0xab], "0102ab"),
        ] {
            let layout = Layout::guess(bytes.len());
            assert_eq!(layout.show(bytes), text);
            assert_eq!(layout.read(text, bytes.len()).unwrap(), bytes);
        }
    }

    #[test]
    fn chosen_layouts_are_followed() {
        let layout = Layout::parse("u8,s16,x32,bytes", 9).unwrap();
        let bytes = [1, 0xfe, 0xff, 0x10, 0, 0, 0, 0xaa, 0xbb];
        assert_eq!(layout.show(&bytes), "1,-2,0x10,aabb");
        assert_eq!(layout.read("1,-2,0x10,aabb", 9).unwrap(), bytes);
        assert_eq!(layout.read("hex:01feff10000000aabb", 9).unwrap(), bytes);
    }

    #[test]
    fn addresses_have_names() {
        let layout = Layout::parse("sym,u8", 9).unwrap();
        let bytes = [0, 0x10, 0, 0, 0, 0, 0, 0, 7];
        let name_of = |address| (address == 0x1000).then(|| "start".into());
        assert_eq!(layout.show_named(&bytes, &name_of), "start,7");
        assert_eq!(layout.show_named(&bytes, &|_| None), "0x1000,7");
        assert_eq!(layout.read("0x1000,7", 9).unwrap(), bytes);
    }

    #[test]
    fn keys_are_ordered_by_their_numbers() {
        let layout = Layout::parse("s16,u32,bytes", 7).unwrap();
        let keys = [
            "-2,9,00", "-1,0,00", "0,256,00", "0,512,01", "0,512,02", "1,0,00",
        ];
        let order = keys.map(|text| layout.order(&layout.read(text, 7).unwrap()));
        assert!(order.is_sorted());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Layout::parse("u64", 4).is_err());
        assert!(Layout::parse("u7", 4).is_err());
        assert!(Layout::parse("", 4).is_err());
        let layout = Layout::guess(4);
        for text in [
            "",
            "x",
            "4294967296",
            "-1x",
            "-2147483649",
            "1,2",
            "hex:1",
            "hex:zz000000",
            "1,ä",
        ] {
            assert!(layout.read(text, 4).is_err(), "{text}");
        }
        assert_eq!(layout.read("-1", 4).unwrap(), [0xff; 4]);
        assert!(Layout::guess(12).read("1,2", 12).is_err());
    }
}
