//! What a virtual machine is made of, as `guest.cfg`, or the description of a loaded kernel, says it.

use alloc::string::{String, ToString};
use core::ops::Range;

use thiserror::Error;

use super::payload;

/// The built-in description of the demo's VM.
pub(crate) const BUILT_IN: &str = include_str!("../../guest.cfg");
/// What comes behind the built-in description to make a guest that checks the walker of its translation tables.
pub(crate) const TRANSLATION: &str = "\nname = translation\nrole = 1\n";
/// What comes behind it to make a guest that does its worst.
pub(crate) const HOSTILE: &str = "\nname = hostile\nrole = 2\n";
/// The image of the guest that the VM runs.
pub(crate) static GUEST_IMAGE: &[u8] = include_bytes!(env!("AXEBPF_GUEST_IMAGE"));

/// How many vCPUs a VM can have: as many as one interrupt can name.
pub(crate) const MAX_VCPUS: u64 = 8;
/// The guest-physical addresses that can be memory.
const MEMORY: Range<u64> = 0x4000_0000..0x8000_0000;

/// A description of a virtual machine.
#[derive(Clone, Debug)]
pub(crate) struct VmConfig {
    /// What people call it.
    pub(crate) name: String,
    /// How many vCPUs it has.
    pub(crate) vcpus: u32,
    /// Where its memory lies.
    pub(crate) memory: Range<u64>,
    /// What it runs.
    pub(crate) guest: Guest,
    /// When it starts.
    pub(crate) start: Start,
    /// Whether its guest can be probed.
    pub(crate) probes: Probes,
}

/// What a VM runs.
#[derive(Clone, Debug)]
pub(crate) enum Guest {
    /// The image that is built into the hypervisor.
    BuiltIn {
        /// Where the image goes.
        load: u64,
        /// Where the first vCPU starts.
        entry: u64,
        /// What the guest is to do, as it finds it in x0: nothing but its work, unless this says otherwise.
        role: u64,
    },
    /// A Linux kernel that was loaded into the machine's memory.
    Linux(Linux),
}

/// A Linux kernel in the machine's memory.
#[derive(Clone, Debug)]
pub(crate) struct Linux {
    /// Where the kernel's image lies.
    pub(crate) kernel: Range<u64>,
    /// Where its first file system lies; empty when there is none.
    pub(crate) initrd: Range<u64>,
    /// The kernel's command line.
    pub(crate) arguments: String,
    /// From what the kernel takes where it runs: another number each time it starts, unless this says which.
    pub(crate) seed: Option<u64>,
}

/// Whether the functions of a guest can be probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Probes {
    /// They can.
    #[default]
    Open,
    /// Its exits and entries are not shown to probes.
    Closed,
}

impl Probes {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// When a VM starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the hypervisor.
    #[default]
    AtBoot,
    /// When the operator says so.
    ByCommand,
}

impl Start {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "boot" => Some(Self::AtBoot),
            "command" => Some(Self::ByCommand),
            _ => None,
        }
    }
}

/// What is wrong with a description.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// A line is not `key = value`.
    #[error("line {line}: `{text}` is not `key = value`")]
    NotAnAssignment {
        /// The line's number, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A key means nothing.
    #[error("line {line}: unknown key `{key}`")]
    UnknownKey {
        /// The line's number, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value is no number, or not one that can be.
    #[error("line {line}: `{value}` is no value for `{key}`")]
    BadValue {
        /// The line's number, from 1.
        line: usize,
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A key is missing.
    #[error("`{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    vcpus: Option<u64>,
    memory: Option<Range<u64>>,
    load: Option<u64>,
    entry: Option<u64>,
    role: Option<u64>,
    kernel: Option<Range<u64>>,
    initrd: Option<Range<u64>>,
    arguments: Option<String>,
    seed: Option<u64>,
    start: Option<Start>,
    probes: Option<Probes>,
}

impl VmConfig {
    /// Reads a description: `key = value` lines, with `#` before comments.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut fields = Fields::default();
        for (number, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let line = number + 1;
            let (key, value) =
                content
                    .split_once('=')
                    .ok_or_else(|| ConfigError::NotAnAssignment {
                        line,
                        text: content.to_string(),
                    })?;
            fields.set(line, key.trim(), value.trim())?;
        }
        fields.finish()
    }
}

impl Fields {
    fn set(&mut self, line: usize, key: &str, value: &str) -> Result<(), ConfigError> {
        let known = match key {
            "name" => store(&mut self.name, Some(value.to_string())),
            "vcpus" => {
                let count = number(value).filter(|count| (1..=MAX_VCPUS).contains(count));
                store(&mut self.vcpus, count)
            }
            "memory" => store(&mut self.memory, range(value).filter(is_memory)),
            "load" => store(&mut self.load, number(value).filter(|at| at % 4096 == 0)),
            "entry" => store(&mut self.entry, number(value)),
            "role" => store(&mut self.role, number(value)),
            "kernel" => store(&mut self.kernel, range(value).filter(payload::contains)),
            "initrd" => store(&mut self.initrd, range(value).filter(payload::contains)),
            "bootargs" => store(&mut self.arguments, Some(value.to_string())),
            "kaslr-seed" => store(&mut self.seed, number(value)),
            "start" => store(&mut self.start, Start::parse(value)),
            "probes" => store(&mut self.probes, Probes::parse(value)),
            _ => {
                return Err(ConfigError::UnknownKey {
                    line,
                    key: key.to_string(),
                });
            }
        };
        let bad = || ConfigError::BadValue {
            line,
            key: key.to_string(),
            value: value.to_string(),
        };
        known.then_some(()).ok_or_else(bad)
    }

    fn finish(self) -> Result<VmConfig, ConfigError> {
        let missing = |key| ConfigError::Missing { key };
        Ok(VmConfig {
            name: self.name.ok_or(missing("name"))?,
            vcpus: self.vcpus.ok_or(missing("vcpus"))? as u32,
            memory: self.memory.ok_or(missing("memory"))?,
            guest: match self.kernel {
                Some(kernel) => Guest::Linux(Linux {
                    kernel,
                    initrd: self.initrd.unwrap_or(0..0),
                    arguments: self.arguments.unwrap_or_default(),
                    seed: self.seed,
                }),
                None => Guest::BuiltIn {
                    load: self.load.ok_or(missing("load"))?,
                    entry: self.entry.ok_or(missing("entry"))?,
                    role: self.role.unwrap_or_default(),
                },
            },
            start: self.start.unwrap_or_default(),
            probes: self.probes.unwrap_or_default(),
        })
    }
}

/// Puts `value` into `field`, and tells whether there is one.
fn store<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix('M') {
        Some(digits) => (digits, 1 << 20),
        None => text
            .strip_suffix('K')
            .map_or((text, 1), |digits| (digits, 1 << 10)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    value.ok()?.checked_mul(unit)
}

fn range(text: &str) -> Option<Range<u64>> {
    let (start, len) = text.split_once(' ')?;
    let start = number(start.trim())?;
    let end = start.checked_add(number(len.trim())?)?;
    (start < end).then_some(start..end)
}

/// Tells whether a VM can have its memory at `range`.
fn is_memory(range: &Range<u64>) -> bool {
    let aligned = range.start.is_multiple_of(4096) && range.end.is_multiple_of(4096);
    aligned && range.start >= MEMORY.start && range.end <= MEMORY.end
}
