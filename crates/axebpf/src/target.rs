//! Probe points, as programs and operators name them.

use alloc::{
    format,
    string::{String, ToString},
};
use core::{fmt, str::FromStr};

use axebpf_platform::VmId;
use axebpf_vm::{AttachTarget, SectionError};
use thiserror::Error;

use crate::ProbeType;

/// One probe point: what a program can be attached to.
///
/// Reads as an operator writes it, `tracepoint:vmm:vm_create`, `vmm:vm_create` for short, `hprobe:handle_exit+0x10`,
/// `kprobe:vm1:vfs_read`, and as the section of a program has it, `tracepoint/vmm/vm_create`, `tp/vmm/vm_create`,
/// `hprobe/handle_exit+0x10`.
///
/// ```
/// use axebpf::{ProbeType, Target};
///
/// let target: Target = "tp/vmm/vm_create".parse()?;
/// assert_eq!(target.to_string(), "tracepoint:vmm:vm_create");
/// assert_eq!(target.probe_type(), ProbeType::Tracepoint);
/// # Ok::<(), axebpf::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The tracepoint `system:name`.
    Tracepoint {
        /// What it belongs to, such as `vmm`.
        system: String,
        /// Its name within the system.
        name: String,
    },
    /// A place in a function of the hypervisor.
    Function {
        /// Whether it is at its return.
        kind: ProbeType,
        /// The function.
        symbol: String,
        /// The bytes between its start and the place; 0 for a return.
        offset: u64,
    },
    /// A place in a function of a guest's kernel.
    GuestFunction {
        /// Whether it is at its return.
        kind: ProbeType,
        /// The guest's VM; the only one there is if none is named.
        vm: Option<VmId>,
        /// The function.
        symbol: String,
        /// The bytes between its start and the place; 0 for a return.
        offset: u64,
    },
}

impl Target {
    /// Returns the kind of the probe point.
    #[must_use]
    pub fn probe_type(&self) -> ProbeType {
        match self {
            Self::Tracepoint { .. } => ProbeType::Tracepoint,
            Self::Function { kind, .. } | Self::GuestFunction { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "tracepoint:{system}:{name}"),
            Self::Function {
                kind,
                symbol,
                offset: 0,
            } => write!(f, "{kind}:{symbol}"),
            Self::Function {
                kind,
                symbol,
                offset,
            } => write!(f, "{kind}:{symbol}+{offset:#x}"),
            Self::GuestFunction {
                kind,
                vm,
                symbol,
                offset,
            } => {
                write!(f, "{kind}:")?;
                if let Some(vm) = vm {
                    write!(f, "vm{vm}:")?;
                }
                f.write_str(symbol)?;
                match offset {
                    0 => Ok(()),
                    offset => write!(f, "+{offset:#x}"),
                }
            }
        }
    }
}

impl TryFrom<AttachTarget<'_>> for Target {
    type Error = SectionError;

    fn try_from(target: AttachTarget<'_>) -> Result<Self, SectionError> {
        let function = |kind, symbol: &str, offset| Self::Function {
            kind,
            symbol: symbol.into(),
            offset,
        };
        let in_guest = |kind, text: &str, offset| {
            let (vm, symbol) = guest_and_symbol(text);
            // Without its last part it is the name of a module at most, or of the guest.
            if symbol.ends_with(':') {
                let target = text.into();
                return Err(SectionError::BadTarget { target });
            }
            Ok(Self::GuestFunction {
                kind,
                vm,
                symbol: symbol.into(),
                offset,
            })
        };
        Ok(match target {
            AttachTarget::Tracepoint { system, name } => Self::Tracepoint {
                system: system.into(),
                name: name.into(),
            },
            AttachTarget::Hprobe { symbol, offset } => function(ProbeType::Hprobe, symbol, offset),
            AttachTarget::Hretprobe { symbol } => function(ProbeType::Hretprobe, symbol, 0),
            AttachTarget::Kprobe { symbol, offset } => in_guest(ProbeType::Kprobe, symbol, offset)?,
            AttachTarget::Kretprobe { symbol } => in_guest(ProbeType::Kretprobe, symbol, 0)?,
            other => {
                return Err(SectionError::UnknownKind {
                    section: other.to_string(),
                });
            }
        })
    }
}

/// Splits `vm1:vfs_read`. A name of two colons is one of Rust.
fn guest_and_symbol(text: &str) -> (Option<VmId>, &str) {
    let split = text.split_once(':').and_then(|(vm, symbol)| {
        let number = vm.strip_prefix("vm")?.parse().ok()?;
        let is_name = !symbol.is_empty() && !symbol.starts_with(':');
        is_name.then_some((VmId::new(number), symbol))
    });
    match split {
        Some((vm, symbol)) => (Some(vm), symbol),
        None => (None, text),
    }
}

/// Text that names no probe point.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` names no probe point: {cause}")]
pub struct TargetError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub cause: SectionError,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let section = as_section(text);
        AttachTarget::parse(section.as_deref().unwrap_or(text))
            .and_then(Self::try_from)
            .map_err(|cause| TargetError {
                text: text.into(),
                cause,
            })
    }
}

/// Rewrites what operators write as the section that says the same; `None` if it is one already.
fn as_section(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once(':')?;
    match kind {
        _ if kind.contains('/') => None,
        "tracepoint" | "tp" => Some(format!("tracepoint/{}", rest.replacen(':', "/", 1))),
        "hprobe" | "hretprobe" | "kprobe" | "kretprobe" => Some(format!("{kind}/{rest}")),
        system => Some(format!("tracepoint/{system}/{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_a_target_mean_the_same() {
        for (text, shown) in [
            ("vmm:vm_create", "tracepoint:vmm:vm_create"),
            ("tp:vmm:vm_create", "tracepoint:vmm:vm_create"),
            ("tracepoint/vmm/vm_create", "tracepoint:vmm:vm_create"),
            ("hprobe:a::b+16", "hprobe:a::b+0x10"),
            ("hprobe/a::b+0x10", "hprobe:a::b+0x10"),
            ("kretprobe:do_exit", "kretprobe:do_exit"),
            ("kprobe/vm1:vfs_read+8", "kprobe:vm1:vfs_read+0x8"),
            ("kprobe:vm12:vfs_*", "kprobe:vm12:vfs_*"),
            ("kprobe:vm1::run", "kprobe:vm1::run"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(shown.parse(), Ok(target));
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in [
            "",
            ":",
            "vmm",
            "vmm:",
            ":x",
            "tracepoint:vmm",
            "hprobe:",
            "hprobe:f+x",
            "kprobe:",
            "kprobe::",
            "kprobe:vm1:",
            "kprobe:vm1:+4",
            "kprobe:vm1:ext4:",
            "kretprobe/vm1:",
            "a:b/c",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
