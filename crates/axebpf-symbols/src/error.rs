//! What can be wrong with a symbol table.

use core::fmt;

use thiserror::Error;

/// Names a part of a symbol table in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The length and the number of symbols at the start of the table.
    Header,
    /// The addresses of the symbols.
    Addresses,
    /// The offsets of the name records.
    Offsets,
    /// The order of the symbols by name.
    NameOrder,
    /// The name records.
    Names,
    /// The text that tokens stand for.
    TokenTable,
    /// Where each token starts in the token table.
    TokenIndex,
    /// The header of the sidecar.
    SidecarHeader,
    /// The sizes of the symbols.
    Sizes,
    /// Which symbol encloses which.
    Enclosing,
    /// The index of demangled names.
    DemangledIndex,
    /// The header of the section that an image reserves for a table.
    Section,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Addresses => "addresses",
            Self::Offsets => "name offsets",
            Self::NameOrder => "name order",
            Self::Names => "names",
            Self::TokenTable => "token table",
            Self::TokenIndex => "token index",
            Self::SidecarHeader => "sidecar header",
            Self::Sizes => "sizes",
            Self::Enclosing => "enclosing symbols",
            Self::DemangledIndex => "index of demangled names",
            Self::Section => "section header",
        })
    }
}

/// Says why some bytes are not a symbol table, or cannot be used as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SymbolError {
    /// The bytes end before the table does.
    #[error("{part}: {need} bytes needed, {have} there")]
    Truncated {
        /// Which part is cut.
        part: Part,
        /// How many bytes the table needs up to the end of that part.
        need: u64,
        /// How many there are.
        have: u64,
    },
    /// The table does not start at a multiple of 8.
    #[error("the table lies at {addr:#x}, which is no multiple of {align}")]
    Misaligned {
        /// Where the table lies in memory.
        addr: u64,
        /// What its address has to be a multiple of.
        align: u64,
    },
    /// There are bytes that belong to no part.
    #[error("{part}: it should end at byte {expected} and ends at byte {actual}")]
    WrongEnd {
        /// The part that has too little or too much.
        part: Part,
        /// Where it should end.
        expected: u64,
        /// Where it ends.
        actual: u64,
    },
    /// A name record does not start where the one before it ends.
    #[error("the name of symbol {index} should start at {expected} and starts at {found}")]
    MisplacedName {
        /// Which symbol, in address order.
        index: u64,
        /// Where the name before it ends, as an offset into the names.
        expected: u64,
        /// What is recorded as its start.
        found: u64,
    },
    /// The table claims more symbols than it can hold.
    #[error("{count} symbols, the limit is {limit}")]
    TooManySymbols {
        /// How many it claims.
        count: u64,
        /// How many there can be.
        limit: u64,
    },
    /// Entries that must be in order are not.
    #[error("{part}: entry {index} is out of order")]
    OutOfOrder {
        /// Which part.
        part: Part,
        /// The first entry that comes too late.
        index: u64,
    },
    /// An entry refers to something that is not there.
    #[error("{part}: entry {index} refers to {value}, the limit is {limit}")]
    BadReference {
        /// Which part.
        part: Part,
        /// Which entry.
        index: u64,
        /// What it refers to.
        value: u64,
        /// The first value that is too large.
        limit: u64,
    },
    /// Two entries refer to the same symbol where each symbol occurs once.
    #[error("{part}: entry {index} names symbol {value} again")]
    Repeated {
        /// Which part.
        part: Part,
        /// The later entry.
        index: u64,
        /// The symbol.
        value: u64,
    },
    /// A name or a token is not UTF-8.
    #[error("{part}: entry {index} is not UTF-8")]
    NotUtf8 {
        /// Which part.
        part: Part,
        /// Which entry.
        index: u64,
    },
    /// A name is empty or too long.
    #[error("the name of symbol {index} has {len} bytes, 1 to {limit} are possible")]
    BadNameLen {
        /// Which symbol, in address order.
        index: u64,
        /// The length of its name.
        len: u64,
        /// The largest possible length.
        limit: u64,
    },
    /// A symbol's type is not an ASCII letter.
    #[error("the type of symbol {index} is {kind:#04x}, which is no ASCII letter")]
    BadKind {
        /// Which symbol, in address order.
        index: u64,
        /// What is there instead.
        kind: u8,
    },
    /// A symbol does not fit into the address space, where it is or after the slide.
    #[error("{size} bytes at {addr:#x}, moved by {slide:#x}, leave the address space")]
    AddressOverflow {
        /// The address in the table.
        addr: u64,
        /// The size of the symbol.
        size: u64,
        /// By how much the table is to be moved.
        slide: i64,
    },
    /// The sidecar, or the header of the section, does not start with its magic number.
    #[error("the magic number is {found:#018x}, {expected:#018x} was expected")]
    BadMagic {
        /// What is there.
        found: u64,
        /// What should be there.
        expected: u64,
    },
    /// The checksum does not fit the content.
    #[error("the checksum is {stored:#018x}, the content gives {computed:#018x}")]
    BadChecksum {
        /// What is stored.
        stored: u64,
        /// What the content gives.
        computed: u64,
    },
    /// The reserved section has not been filled: the build step that does it did not run.
    #[error("the reserved section of {capacity} bytes holds no table yet")]
    NotFilled {
        /// How many bytes a table may have there.
        capacity: u64,
    },
    /// A table does not fit into the reserved section.
    #[error("the table has {len} bytes, the reserved section holds {capacity}")]
    TooLarge {
        /// How many bytes the table has.
        len: u64,
        /// How many bytes a table may have there.
        capacity: u64,
    },
    /// The header of the reserved section contradicts the section, or has an unknown version.
    #[error("the section's header says {found} where {expected} is true")]
    BadSection {
        /// What the header says.
        found: u64,
        /// What is true.
        expected: u64,
    },
    /// There is no memory for what the check needs.
    #[error("no memory for {bytes} bytes")]
    NoMemory {
        /// How many bytes were wanted.
        bytes: u64,
    },
}
