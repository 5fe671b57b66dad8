//! Why an instruction of another architecture cannot be displaced.

use core::fmt;

/// Says why an instruction of an architecture other than aarch64 cannot be displaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignRefusal {
    /// It is no instruction.
    Undecodable,
    /// The place is within an instruction.
    WithinInstruction,
    /// What it does depends on where it is.
    PositionDependent,
    /// It changes what it interrupts, or leads elsewhere.
    Unsupported,
    /// It is part of a sequence that a trap would make fail for ever.
    ExclusiveSequence,
}

impl fmt::Display for ForeignRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undecodable => "it is no instruction",
            Self::WithinInstruction => "it is within an instruction",
            Self::PositionDependent => "what it does depends on where it is",
            Self::Unsupported => "it cannot be executed elsewhere",
            Self::ExclusiveSequence => "it is part of an exclusive sequence",
        })
    }
}
