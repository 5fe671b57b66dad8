//! What an object file defines.

use alloc::string::String;
use alloc::vec::Vec;

use axebpf_maps::MapSpec;

use crate::insn::Insn;
use crate::program::Missing;
use crate::source::SourceLines;
use crate::target::{AttachTarget, SectionName};

/// Whether a map outlives its object under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pinning {
    /// It does not.
    #[default]
    None,
    /// It does (`LIBBPF_PIN_BY_NAME`): objects that define a map of this name so share it.
    ByName,
}

/// A map that an object defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDefinition {
    pub(crate) spec: MapSpec,
    pub(crate) pinning: Pinning,
    pub(crate) initial: Option<Vec<u8>>,
    /// The slots of a map of maps that start with a map, and the number of that map in the object.
    pub(crate) inner: Vec<(u32, usize)>,
    /// The slots of an array of programs that start with a program, and where in the object that is.
    pub(crate) programs: Vec<(u32, CodePlace)>,
    /// Where in the definition the slots of a map of maps or array of programs are, in bytes.
    pub(crate) values_at: Option<u64>,
}

/// Where a function is in the object file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePlace {
    /// The number of the section.
    pub(crate) section: usize,
    /// The offset in the section, in bytes.
    pub(crate) offset: u64,
}

impl MapDefinition {
    /// Returns the map's name: that of its variable, or for global data that of its section.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns what the map is to be.
    #[must_use]
    pub const fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// Returns whether the map outlives its object.
    #[must_use]
    pub const fn pinning(&self) -> Pinning {
        self.pinning
    }

    /// Returns the initial value of global data, or `None` for other maps.
    #[must_use]
    pub fn initial(&self) -> Option<&[u8]> {
        self.initial.as_deref()
    }
}

/// A program that an object defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramDefinition {
    pub(crate) name: String,
    pub(crate) section: String,
    pub(crate) place: CodePlace,
    /// The linked instructions; maps are referred to by their index in the object.
    pub(crate) insns: Vec<Insn>,
    pub(crate) lines: SourceLines,
    pub(crate) missing: Vec<Missing>,
}

impl ProgramDefinition {
    /// Returns the program's name: that of its function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the section that the program is in.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Tells whether the program is loaded only on request: its section name starts with `?`.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.section.starts_with('?')
    }

    /// Returns where the program attaches, if its section name says so.
    #[must_use]
    pub fn target(&self) -> Option<AttachTarget<'_>> {
        SectionName::parse(&self.section).ok()??.target
    }

    /// Returns the number of instruction slots, called functions included.
    #[must_use]
    pub fn insn_count(&self) -> usize {
        self.insns.len()
    }
}
