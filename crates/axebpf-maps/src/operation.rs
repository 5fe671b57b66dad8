//! What errors name: operations, and differences from a template.

use core::fmt;

/// What was asked of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Looking up a value.
    Lookup,
    /// Writing a value.
    Update,
    /// Deleting an entry.
    Delete,
    /// Going from key to key.
    Iterate,
    /// Adding a value that has no key.
    Push,
    /// Taking a value out.
    Pop,
    /// Looking at a value that would be taken out, or whether there is one.
    Peek,
}

/// In what a map is unlike a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Difference {
    /// The kind.
    Kind,
    /// The size of keys.
    KeySize,
    /// The size of values.
    ValueSize,
    /// The number of entries, of an array without [`INNER_MAP`](crate::MapFlags::INNER_MAP).
    Entries,
    /// The flags.
    Flags,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "kind",
            Self::KeySize => "key size",
            Self::ValueSize => "value size",
            Self::Entries => "number of entries",
            Self::Flags => "flags",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "read",
            Self::Update => "update",
            Self::Delete => "delete from",
            Self::Iterate => "iterate over",
            Self::Push => "push to",
            Self::Pop => "pop from",
            Self::Peek => "peek into",
        })
    }
}
