//! Why the symbols of a kernel cannot be read.

use thiserror::Error;

/// Says why the symbols of a kernel cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelSymbolError {
    /// A line of text is not of the form `address type name [module]`.
    #[error("line {line} is not of the form \"address type name [module]\"")]
    BadLine {
        /// The number of the line, counted from 1.
        line: usize,
    },
    /// There is nothing in it.
    #[error("there are no symbols in it")]
    Empty,
    /// All addresses are 0: the kernel does not show them to everybody.
    #[error(
        "all addresses are 0; read the file as root, with /proc/sys/kernel/kptr_restrict at 0 or 1"
    )]
    Hidden,
    /// There are more symbols, or names, than there can be.
    #[error("{what} is {len}, more than {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        len: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A compressed table ends too early.
    #[error("the {what} of symbol {index} is not all there")]
    Truncated {
        /// What is missing.
        what: &'static str,
        /// The number of the symbol.
        index: usize,
    },
    /// A token is not in the table, or is not what names consist of.
    #[error("token {token} is not one of names")]
    BadToken {
        /// The number of the token.
        token: usize,
    },
    /// A name is empty or too long.
    #[error("the name of symbol {index} has {len} bytes, 1 to {limit} are possible")]
    BadName {
        /// The number of the symbol.
        index: usize,
        /// The length of the name in bytes, with its type.
        len: usize,
        /// The largest possible length.
        limit: usize,
    },
    /// No memory is left for what the symbols take.
    #[error("no memory is left for {bytes} bytes of symbols")]
    NoMemory {
        /// How much is missing.
        bytes: usize,
    },
}
