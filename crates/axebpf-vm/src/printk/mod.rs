//! `trace_printk`: binary records made by programs, text made by whoever reads them.
//!
//! During a hit nothing is formatted. The helper hands the format, the arguments, and the bytes behind `%s` arguments
//! to a [`PrintkSink`]; the reader makes text of them with [`PrintkRecord`]'s `Display`, long after the hit.

mod format;
mod render;

pub use format::AddressForm;
pub(crate) use format::{Conversion, IpForm, Piece, Pieces};
pub use render::{AddressNames, NamedPrintk};
pub(crate) use render::{Output, render};

use axebpf_hit::HitGuard;
use thiserror::Error;

/// The largest number of values that a message has: `trace_printk` takes three, `trace_vprintk` this many.
pub const MAX_PRINTK_ARGS: usize = 12;

/// The longest format of a message in bytes, its terminating NUL included.
pub const MAX_PRINTK_FORMAT: usize = 512;

/// The longest string behind a `%s` in bytes, its terminating NUL included; the rest is cut off.
pub const MAX_PRINTK_STRING: usize = 128;

/// A message as the program left it.
///
/// Its `Display` is the message as text, by the format language of Linux's `bpf_trace_printk`: `%d %i %u %x %X` with an
/// optional `l` or `ll`, `%c`, `%s`, `%p` with its forms (`%px %pK` addresses, `%pks %pus` strings, `%pi4 %pI4 %pi6
/// %pI6` IP addresses, `%ps %pS %pB` names, see [`with_names`](Self::with_names)), `%%`, each with flags and width.
/// What cannot be understood appears as it is.
///
/// # Examples
///
/// ```
/// use axebpf_vm::PrintkRecord;
///
/// let record = PrintkRecord::new(b"vm %d left at %llx\0", &[3, 0x4008_0000], b"");
/// assert_eq!(record.to_string(), "vm 3 left at 40080000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintkRecord<'r> {
    format: &'r [u8],
    args: &'r [u64],
    text: &'r [u8],
}

impl<'r> PrintkRecord<'r> {
    /// Puts a message together from its parts, such as a reader finds them in a buffer.
    ///
    /// Nothing needs to be well-formed; a missing value appears as `(missing)`.
    #[must_use]
    pub const fn new(format: &'r [u8], args: &'r [u64], text: &'r [u8]) -> Self {
        Self { format, args, text }
    }

    /// Returns the format, up to and without its terminating NUL.
    #[must_use]
    pub fn format(&self) -> &'r [u8] {
        self.format
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or(self.format)
    }

    /// Returns the values, at most [`MAX_PRINTK_ARGS`] of them when a program made the message.
    ///
    /// The value for a `%s` or an IP address is the address that it had.
    #[must_use]
    pub const fn args(&self) -> &'r [u64] {
        self.args
    }

    /// Returns the strings of the `%s` and IP address conversions, in order, each with a terminating NUL.
    #[must_use]
    pub const fn text(&self) -> &'r [u8] {
        self.text
    }
}

/// A message that could not be recorded, for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("no room for the message")]
pub struct PrintkFull;

/// Takes the messages of `trace_printk`.
pub trait PrintkSink: Sync {
    /// Stores a message. Called during a hit: allocates nothing, formats nothing, waits for nothing.
    ///
    /// # Errors
    ///
    /// [`PrintkFull`] when there is no room; the program gets `-EBUSY`, and the sink counts the loss.
    fn record(&self, guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull>;
}
