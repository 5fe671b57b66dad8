//! Filters: which firings of an event somebody wants.
//!
//! ```text
//! filter     = conjunction { "||" conjunction }
//! conjunction = term { "&&" term }
//! term       = "!" term | "(" filter ")" | test
//! test       = FIELD ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) VALUE
//!            | FIELD "&" NUMBER [ ( "==" | "!=" ) NUMBER ]
//!            | FIELD "~" STRING
//! ```
//!
//! Numbers are decimal or hexadecimal (`0x`), and may be negative; they are compared by their exact
//! value, whatever the sign and size of the field. `flags & 6` asks whether any of these bits is
//! set. Strings stand in `"` or `'`, where `\` takes the next character as it is; `~` matches a
//! glob (`*`, `?`, `[a-z]`, `[!a-z]`). A `bool` field is compared with `true`, `false` or a number.

mod check;
mod code;
mod error;
mod lexer;
mod parser;

use alloc::boxed::Box;
use alloc::string::String;

pub use error::FilterError;

use crate::event::Event;
use crate::field::Field;
use crate::filter::code::Code;

/// A condition on the fields of one event, compiled.
///
/// # Examples
///
/// ```
/// use axebpf_tp::{Filter, vmm};
///
/// let text = "reason == 36 && (vcpu_id == 1 || pc >= 0xffff800000000000)";
/// let filter = Filter::compile(text, &vmm::vcpu_run_exit)?;
/// let record = vec![0; vmm::vcpu_run_exit.record_len()];
/// assert!(!filter.eval(&record));
///
/// let error = Filter::compile("raeson == 36", &vmm::vcpu_run_exit).unwrap_err();
/// assert!(error.to_string().contains("reason"));
/// # Ok::<(), axebpf_tp::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    event: &'static Event,
    compiled: FieldFilter,
}

/// A condition on fields that are those of no event, compiled.
///
/// # Examples
///
/// ```
/// use axebpf_tp::{Field, FieldFilter, FieldType, Radix};
///
/// const U64: FieldType = FieldType::Unsigned { size: 8, radix: Radix::Hex };
/// static FIELDS: [Field; 2] = [
///     Field::new("x0", "The first register.", U64, 0),
///     Field::new("x1", "The second register.", U64, 8),
/// ];
///
/// let filter = FieldFilter::compile("x1 == 7", &FIELDS)?;
/// let record: Vec<u8> = [1_u64, 7].iter().flat_map(|x| x.to_ne_bytes()).collect();
/// assert!(filter.eval(&record));
/// # Ok::<(), axebpf_tp::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FieldFilter {
    text: Box<str>,
    code: Code,
}

impl FieldFilter {
    /// Compiles `text` for records with these fields.
    ///
    /// # Errors
    ///
    /// [`FilterError`] says what is wrong, where, and what would be right.
    pub fn compile(text: &str, fields: &'static [Field]) -> Result<Self, FilterError> {
        if text.len() > Filter::MAX_LEN {
            return Err(FilterError::TooLong {
                len: text.len(),
                limit: Filter::MAX_LEN,
            });
        }
        let code = Code::generate(&parser::parse(text, fields)?);
        Ok(Self {
            text: String::from(text.trim()).into_boxed_str(),
            code,
        })
    }

    /// Tells whether a record passes.
    ///
    /// Allocates nothing. A record that is too short fails each test on what it lacks.
    #[must_use]
    pub fn eval(&self, record: &[u8]) -> bool {
        self.code.eval(record)
    }

    /// Returns the text from which it was compiled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Filter {
    /// The bytes that the text of a filter may have.
    pub const MAX_LEN: usize = 4096;

    /// How deep parentheses and `!` may nest.
    pub const MAX_DEPTH: usize = 32;

    /// Compiles `text` for `event`.
    ///
    /// # Errors
    ///
    /// [`FilterError`] says what is wrong, where, and what would be right.
    pub fn compile(text: &str, event: &'static Event) -> Result<Self, FilterError> {
        Ok(Self {
            event,
            compiled: FieldFilter::compile(text, event.fields())?,
        })
    }

    /// Tells whether the record of a firing passes.
    ///
    /// Allocates nothing. A record that is shorter than its event's fails each test on what it
    /// lacks.
    #[must_use]
    pub fn eval(&self, record: &[u8]) -> bool {
        self.compiled.eval(record)
    }

    /// Returns the event that the filter is for.
    #[must_use]
    pub fn event(&self) -> &'static Event {
        self.event
    }

    /// Returns the text from which it was compiled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.compiled.as_str()
    }
}
