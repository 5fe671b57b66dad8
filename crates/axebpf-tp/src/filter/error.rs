//! What can be wrong with the text of a filter.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use axebpf_symbols::GlobError;
use thiserror::Error;

use crate::field::FieldType;

/// Says why a text is not a filter for an event. Positions count bytes from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The text is too long.
    #[error("{len} bytes are more than the {limit} that a filter may have")]
    TooLong {
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Parentheses and `!` nest too deeply.
    #[error("at {at}: nested more than {limit} deep")]
    TooDeep {
        /// Where the limit is passed.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// A character that no filter contains, outside of a string.
    #[error("at {at}: unexpected `{}`", found.escape_default())]
    UnexpectedChar {
        /// Where it is.
        at: usize,
        /// The character.
        found: char,
    },
    /// A string does not end.
    #[error("at {at}: the string that starts here has no closing {quote}")]
    UnterminatedString {
        /// Where it starts.
        at: usize,
        /// How it would end.
        quote: char,
    },
    /// A number is not one, or beyond -2^63 to 2^64-1.
    #[error("at {at}: `{text}` is not a number from -9223372036854775808 to 18446744073709551615")]
    BadNumber {
        /// Where it is.
        at: usize,
        /// What is there.
        text: String,
    },
    /// Something else belongs here.
    #[error("at {at}: expected {expected}, found {found}")]
    Expected {
        /// Where it is.
        at: usize,
        /// What belongs here.
        expected: &'static str,
        /// What is here.
        found: String,
    },
    /// The event has no such field.
    #[error("at {at}: no field `{name}`; {}", Fields(fields))]
    UnknownField {
        /// Where it is.
        at: usize,
        /// The name.
        name: String,
        /// The fields that there are.
        fields: Vec<&'static str>,
    },
    /// The operator does not go with the field.
    #[error("at {at}: `{operator}` does not go with `{field}` ({ty}); use {allowed}")]
    WrongOperator {
        /// Where the operator is.
        at: usize,
        /// The operator.
        operator: &'static str,
        /// The field.
        field: &'static str,
        /// Its type.
        ty: FieldType,
        /// The operators that go with it.
        allowed: &'static str,
    },
    /// The value does not go with the field.
    #[error("at {at}: `{field}` ({ty}) is compared with {expected}, not with {found}")]
    WrongValue {
        /// Where the value is.
        at: usize,
        /// The field.
        field: &'static str,
        /// Its type.
        ty: FieldType,
        /// What goes with it.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The string after `~` is no pattern.
    #[error("at {at}: {cause}")]
    BadGlob {
        /// Where the string is.
        at: usize,
        /// What is wrong with it.
        cause: GlobError,
    },
}

/// Displays the fields that there are.
struct Fields<'a>(&'a [&'static str]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the event has no fields");
        }
        f.write_str("the fields are ")?;
        for (i, name) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
