//! The kinds of probe points.

use core::fmt;

/// The kinds of probe points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProbeType {
    /// Entry of (or an instruction in) a function of the hypervisor.
    Hprobe,
    /// Return of a function of the hypervisor.
    Hretprobe,
    /// Entry of (or an instruction in) a function of a guest kernel.
    Kprobe,
    /// Return of a function of a guest kernel.
    Kretprobe,
    /// A static point that the hypervisor passes.
    Tracepoint,
}

impl ProbeType {
    /// Returns the word that section names start with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hprobe => "hprobe",
            Self::Hretprobe => "hretprobe",
            Self::Kprobe => "kprobe",
            Self::Kretprobe => "kretprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl fmt::Display for ProbeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
