//! Section names and what they say about where a program attaches.

use core::fmt;

use crate::section_error::SectionError;

/// Where a program attaches, as its section name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttachTarget<'n> {
    /// `tracepoint/<system>/<name>`, `tp/<system>/<name>`: a static point of the hypervisor.
    Tracepoint {
        /// The system, such as `vmm`.
        system: &'n str,
        /// The event, such as `vcpu_run_exit`.
        name: &'n str,
    },
    /// `hprobe/<symbol>[+<offset>]`: an instruction of the hypervisor.
    Hprobe {
        /// The symbol.
        symbol: &'n str,
        /// Bytes after the symbol.
        offset: u64,
    },
    /// `hretprobe/<symbol>`: the return of a function of the hypervisor.
    Hretprobe {
        /// The symbol.
        symbol: &'n str,
    },
    /// `kprobe/<symbol>[+<offset>]`: an instruction of a guest kernel.
    Kprobe {
        /// The symbol.
        symbol: &'n str,
        /// Bytes after the symbol.
        offset: u64,
    },
    /// `kretprobe/<symbol>`: the return of a function of a guest kernel.
    Kretprobe {
        /// The symbol.
        symbol: &'n str,
    },
}

/// What kind of probe a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProgramKind {
    /// For static points of the hypervisor.
    Tracepoint,
    /// For instructions of the hypervisor.
    Hprobe,
    /// For returns of functions of the hypervisor.
    Hretprobe,
    /// For instructions of a guest kernel.
    Kprobe,
    /// For returns of functions of a guest kernel.
    Kretprobe,
    /// Not for any probe: a program made of bare instructions.
    Raw,
}

const KINDS: [(&str, ProgramKind); 6] = [
    ("tracepoint", ProgramKind::Tracepoint),
    ("tp", ProgramKind::Tracepoint),
    ("hprobe", ProgramKind::Hprobe),
    ("hretprobe", ProgramKind::Hretprobe),
    ("kprobe", ProgramKind::Kprobe),
    ("kretprobe", ProgramKind::Kretprobe),
];

/// What a section name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SectionName<'n> {
    pub(crate) kind: ProgramKind,
    pub(crate) target: Option<AttachTarget<'n>>,
}

impl<'n> SectionName<'n> {
    /// Reads a section name; `None` when it is not that of a program.
    ///
    /// The leading `?` of an optional program says nothing about the target and is skipped.
    pub(crate) fn parse(section: &'n str) -> Result<Option<Self>, SectionError> {
        let section = section.strip_prefix('?').unwrap_or(section);
        let (prefix, rest) = match section.split_once('/') {
            Some((prefix, rest)) => (prefix, Some(rest)),
            None => (section, None),
        };
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == prefix) else {
            return Ok(None);
        };
        let target = rest.map(|rest| AttachTarget::of(*kind, rest)).transpose()?;
        Ok(Some(Self {
            kind: *kind,
            target,
        }))
    }
}

impl<'n> AttachTarget<'n> {
    /// Reads the target of a section name: what stands after its first slash.
    ///
    /// ```
    /// use axebpf_vm::AttachTarget;
    ///
    /// let target = AttachTarget::parse("kprobe/do_sys_open+0x10")?;
    /// assert_eq!(target, AttachTarget::Kprobe { symbol: "do_sys_open", offset: 16 });
    /// # Ok::<(), axebpf_vm::SectionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SectionError`] when the name is not that of a program, names no target, or one that cannot be.
    pub fn parse(section: &'n str) -> Result<Self, SectionError> {
        let unknown = || SectionError::UnknownKind {
            section: section.into(),
        };
        let parsed = SectionName::parse(section)?.ok_or_else(unknown)?;
        parsed.target.ok_or_else(|| SectionError::NoTarget {
            section: section.into(),
        })
    }

    fn of(kind: ProgramKind, rest: &'n str) -> Result<Self, SectionError> {
        let bad = || SectionError::BadTarget {
            target: rest.into(),
        };
        if rest.is_empty() {
            return Err(bad());
        }
        Ok(match kind {
            ProgramKind::Tracepoint => {
                let (system, name) = rest.split_once('/').ok_or_else(bad)?;
                if system.is_empty() || name.is_empty() || name.contains('/') {
                    return Err(bad());
                }
                Self::Tracepoint { system, name }
            }
            ProgramKind::Hretprobe => Self::Hretprobe { symbol: rest },
            ProgramKind::Kretprobe => Self::Kretprobe { symbol: rest },
            ProgramKind::Hprobe | ProgramKind::Kprobe | ProgramKind::Raw => {
                let (symbol, offset) = split_offset(rest).ok_or_else(bad)?;
                match kind {
                    ProgramKind::Hprobe => Self::Hprobe { symbol, offset },
                    _ => Self::Kprobe { symbol, offset },
                }
            }
        })
    }
}

/// Splits `symbol+offset`, the offset in decimal or, after `0x`, in hexadecimal.
fn split_offset(text: &str) -> Option<(&str, u64)> {
    // The last plus sign, since symbols may hold one.
    let Some((symbol, offset)) = text.rsplit_once('+') else {
        return Some((text, 0));
    };
    let offset = match offset.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => offset.parse(),
    };
    offset
        .ok()
        .filter(|_| !symbol.is_empty())
        .map(|offset| (symbol, offset))
}

impl fmt::Display for AttachTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "tracepoint/{system}/{name}"),
            Self::Hprobe { symbol, offset: 0 } => write!(f, "hprobe/{symbol}"),
            Self::Hprobe { symbol, offset } => write!(f, "hprobe/{symbol}+{offset:#x}"),
            Self::Hretprobe { symbol } => write!(f, "hretprobe/{symbol}"),
            Self::Kprobe { symbol, offset: 0 } => write!(f, "kprobe/{symbol}"),
            Self::Kprobe { symbol, offset } => write!(f, "kprobe/{symbol}+{offset:#x}"),
            Self::Kretprobe { symbol } => write!(f, "kretprobe/{symbol}"),
        }
    }
}
