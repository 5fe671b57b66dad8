//! Why the symbols of a kernel cannot be read.

use thiserror::Error;

use crate::{Slide, SymbolError};

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
    /// A file is neither a blob nor text.
    #[error(
        "it begins with \"{}\", which is neither a number nor what blobs begin with",
        start.escape_ascii()
    )]
    Unrecognised {
        /// How it begins, with zeroes behind it if it is shorter.
        start: [u8; 8],
    },
    /// A blob is damaged, or of another version.
    #[error("the blob is damaged: {0}")]
    Blob(#[from] SymbolError),
    /// A name in a blob is not printable ASCII, or what is behind it is no module in brackets.
    #[error("the name of symbol {index} is none that a kernel has")]
    NotAName {
        /// The number of the symbol.
        index: usize,
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
    /// Too few functions of one kernel are in another, so that nothing says how far one runs from the other.
    #[error("it has {found} of {sought} functions that were looked for, and {need} are needed")]
    Strangers {
        /// How many names both have, once each.
        found: usize,
        /// How many names were looked for.
        sought: usize,
        /// How many there have to be.
        need: usize,
    },
    /// Functions of two kernels lie differently: they are not the same kernel.
    #[error("a function is {one} from where it should be, another {other}")]
    Differs {
        /// How far the first function is from where it should be.
        one: Slide,
        /// How far another is.
        other: Slide,
    },
    /// A kernel does not run where arm64 can have moved it.
    #[error("functions are {slide} from where they should be, which is no multiple of {align:#x}")]
    BadSlide {
        /// How far they are.
        slide: Slide,
        /// What that has to be a multiple of.
        align: u64,
    },
    /// No memory is left for what the symbols take.
    #[error("no memory is left for {bytes} bytes of symbols")]
    NoMemory {
        /// How much is missing.
        bytes: usize,
    },
}
