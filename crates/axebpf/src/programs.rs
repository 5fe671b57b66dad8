//! The shipped programs, built, inside the library.
//!
//! `cargo xtask build-programs` builds them from `ebpf-programs/` and puts them here, so that
//! nobody who only uses the crate needs an eBPF compiler.

use alloc::{borrow::Cow, vec::Vec};

use crate::shell::{ObjectSource, SourceEntry, SourceError};

/// One embedded object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Embedded {
    /// Its name, that of its source file.
    pub name: &'static str,
    /// Its ELF file, as [`Registry::load`](crate::Registry::load) takes it.
    pub elf: &'static [u8],
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(Embedded {
            name: $name,
            elf: include_bytes!(concat!("../precompiled/", $name, ".bpf.o")),
        }),*]
    };
}

/// All embedded objects, sorted by name.
static OBJECTS: &[Embedded] = embedded![
    "events",
    "exit_count",
    "exit_latency",
    "func_count",
    "func_latency",
    "guest_exec",
    "guest_func_latency",
    "guest_syscalls",
    "printk",
    "stack_count"
];

/// Lists the embedded objects, sorted by name.
///
/// ```
/// let names: Vec<_> = axebpf::programs::list().iter().map(|object| object.name).collect();
/// assert_eq!(names[..3], ["events", "exit_count", "exit_latency"]);
/// assert_eq!(names[3..5], ["func_count", "func_latency"]);
/// assert_eq!(names[5..8], ["guest_exec", "guest_func_latency", "guest_syscalls"]);
/// assert_eq!(names[8..], ["printk", "stack_count"]);
/// ```
#[must_use]
pub fn list() -> &'static [Embedded] {
    OBJECTS
}

/// Finds an embedded object by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Embedded> {
    OBJECTS.iter().find(|object| object.name == name)
}

/// The embedded objects, as a source for a [`Shell`](crate::shell::Shell).
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedObjects;

impl ObjectSource for EmbeddedObjects {
    fn list(&self) -> Vec<SourceEntry> {
        let entry = |object: &Embedded| SourceEntry {
            name: object.name.into(),
            len: object.elf.len(),
        };
        OBJECTS.iter().map(entry).collect()
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        match find(name) {
            Some(object) => Ok(object.elf.into()),
            None => Err(SourceError::NotFound { name: name.into() }),
        }
    }
}
