//! IP addresses as text, written without allocating.

use crate::printk::IpForm;

/// Returns the bytes of an address that is printed so.
pub(super) const fn len(form: IpForm) -> usize {
    match form {
        IpForm::V4 | IpForm::V4Padded => 4,
        IpForm::V6 | IpForm::V6Bare => 16,
    }
}

/// Writes an address, in the order of the network, with a terminating NUL, and returns the number of bytes.
///
/// `out` has at least 40 bytes, the most that an address takes; what does not fit is left out.
pub(super) fn write(form: IpForm, address: [u8; 16], out: &mut [u8]) -> usize {
    let mut text = Text { out, len: 0 };
    let bytes = &address[..len(form)];
    for (index, byte) in bytes.iter().enumerate() {
        match form {
            IpForm::V4 | IpForm::V4Padded => {
                if index > 0 {
                    text.push(b'.');
                }
                text.decimal(*byte, form);
            }
            IpForm::V6 | IpForm::V6Bare => {
                if form == IpForm::V6 && index > 0 && index % 2 == 0 {
                    text.push(b':');
                }
                text.hex(byte >> 4);
                text.hex(byte & 0xf);
            }
        }
    }
    text.push(0);
    text.len
}

struct Text<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Text<'_> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn decimal(&mut self, value: u8, form: IpForm) {
        let padded = form == IpForm::V4Padded;
        if padded || value >= 100 {
            self.push(b'0' + value / 100);
        }
        if padded || value >= 10 {
            self.push(b'0' + value / 10 % 10);
        }
        self.push(b'0' + value % 10);
    }

    fn hex(&mut self, digit: u8) {
        self.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
}
