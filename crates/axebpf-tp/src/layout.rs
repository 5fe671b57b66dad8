//! Where the fields lie in a record, worked out at compile time.

use crate::field::{Field, FieldType, HEADER_LEN, MAX_RECORD_LEN};

/// Gives each field its offset: natural alignment, in order of declaration.
///
/// # Panics
///
/// At compile time, when the event has more arguments than there are registers for.
#[doc(hidden)]
#[must_use]
pub const fn lay_out<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let mut end = HEADER_LEN;
    let mut words = 0;
    let mut i = 0;
    while i < N {
        let ty = fields[i].ty();
        words += if matches!(ty, FieldType::Chars { .. }) {
            2
        } else {
            1
        };
        fields[i] = fields[i].at(end.next_multiple_of(ty.align()));
        end = fields[i].offset() + ty.size();
        i += 1;
    }
    assert!(
        words <= MAX_WORDS,
        "an event has at most 16 fields; a string counts for two"
    );
    fields
}

/// Returns the length of the record with these fields in bytes, a multiple of eight.
///
/// # Panics
///
/// At compile time, when the record would be longer than [`MAX_RECORD_LEN`].
#[doc(hidden)]
#[must_use]
pub const fn record_len(fields: &[Field]) -> usize {
    let len = padded_len(fields);
    assert!(
        len <= MAX_RECORD_LEN,
        "the event's record is longer than 512 bytes"
    );
    len
}

/// Returns where a record with these fields ends, rounded up to a multiple of eight.
pub(crate) const fn padded_len(fields: &[Field]) -> usize {
    let end = match fields {
        [.., last] => last.offset() + last.size(),
        [] => HEADER_LEN,
    };
    end.next_multiple_of(8)
}

/// Counts the registers that the arguments of one event may travel in; a string takes two.
const MAX_WORDS: usize = 16;

/// Returns where the arguments of a field lie in the array that its record is made from, in bytes.
///
/// # Panics
///
/// At compile time, when there is no such field.
#[doc(hidden)]
#[must_use]
pub const fn word_offset(fields: &[Field], name: &str) -> usize {
    let mut index = 0;
    while !same(fields[index].name(), name) {
        index += 1;
    }
    16 * index
}

/// Compares two strings at compile time.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
