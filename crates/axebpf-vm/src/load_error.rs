//! Why an object cannot be loaded.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use axebpf_maps::MapError;
use thiserror::Error;

use crate::check_error::CheckError;
use crate::section_error::SectionError;
use crate::source::SourceLine;

/// Why an object cannot be loaded. Nothing is left behind then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The object is larger than any object may be.
    #[error("the object has {len} bytes; the limit is {limit}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The largest length allowed.
        limit: usize,
    },
    /// The bytes are no ELF file, or end too early.
    #[error("no valid ELF file: {what}")]
    NotElf {
        /// What the parser found wrong.
        what: String,
    },
    /// The file is for a big-endian machine.
    #[error(
        "the object is big-endian; build it with `-target bpfel` or `-target bpf` on a little-endian machine"
    )]
    BigEndian,
    /// The file is not a relocatable object for eBPF.
    #[error("ELF machine {machine} of type {kind} is not a relocatable eBPF object (247, 1)")]
    NotBpf {
        /// The machine number of its header.
        machine: u16,
        /// The type of its header.
        kind: u16,
    },
    /// A section cannot be read.
    #[error("section {section:?}: {what}")]
    BadSection {
        /// The section's name, or its number where the name cannot be read.
        section: String,
        /// What is wrong with it.
        what: String,
    },
    /// There are more of something than allowed.
    #[error("the object has {count} {what}; the limit is {limit}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// The name of a program section says nothing that can be understood.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// A symbol that does not fit its section.
    #[error("symbol {symbol:?} in section {section:?}: {what}")]
    BadSymbol {
        /// The symbol.
        symbol: String,
        /// Its section.
        section: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A relocation that cannot be carried out.
    #[error(
        "section {section:?}, offset {offset:#x}: relocation of type {kind} to {symbol:?}: {what}"
    )]
    BadRelocation {
        /// The section that is relocated.
        section: String,
        /// Where in the section, in bytes.
        offset: u64,
        /// The type of the relocation (`R_BPF_*`).
        kind: u32,
        /// What it refers to.
        symbol: String,
        /// Why it cannot be carried out.
        what: &'static str,
    },
    /// The type information is broken.
    #[error("BTF at byte {offset}: {what}")]
    BadBtf {
        /// Where in the section `.BTF`, in bytes.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// What comes with the type information is broken.
    #[error("BTF.ext at byte {offset}: {what}")]
    BadBtfExt {
        /// Where in the section `.BTF.ext`, in bytes.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// There is no memory for what the type information says.
    #[error("no memory for {bytes} bytes of types")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// An instruction depends on the types of the machine, and nobody said what these are.
    #[error(
        "section {section:?}, offset {offset:#x}: a CO-RE relocation needs the BTF of the target"
    )]
    NoTargetTypes {
        /// The section.
        section: String,
        /// Where in the section, in bytes.
        offset: u64,
    },
    /// An instruction that depends on the types of the machine, and cannot be adapted to them.
    #[error(
        "section {section:?}, offset {offset:#x}: CO-RE relocation of {root:?}, access {access:?}: {what}"
    )]
    BadCoreRelocation {
        /// The section.
        section: String,
        /// Where in the section, in bytes.
        offset: u64,
        /// The type that the access starts at.
        root: String,
        /// The way from there, in indices of members and elements.
        access: String,
        /// Why it cannot be adapted.
        what: &'static str,
    },
    /// A section with a meaning that cannot be had here.
    #[error("section {section:?} is not supported: {reason}")]
    RefusedSection {
        /// The section.
        section: String,
        /// Why not.
        reason: &'static str,
    },
    /// The definition of a map is broken.
    #[error("map {map:?}: {what}")]
    BadMapDefinition {
        /// The map.
        map: String,
        /// What is wrong with its definition.
        what: String,
    },
    /// A map cannot be made.
    #[error("map {map:?}: {error}")]
    Map {
        /// The map.
        map: String,
        /// Why.
        error: MapError,
    },
    /// A map that is to be shared differs from what the object defines.
    #[error("map {map:?} exists, but with {what} {found}, not {expected}")]
    IncompatibleMap {
        /// The map.
        map: String,
        /// What differs.
        what: &'static str,
        /// What the existing map has.
        found: u32,
        /// What the object defines.
        expected: u32,
    },
    /// A program cannot be allowed to run.
    #[error("program {program:?} in section {section:?}: {error}{}", At(line.as_deref()))]
    Program {
        /// The program.
        program: String,
        /// The section that it is in.
        section: String,
        /// The first thing wrong with it.
        error: CheckError,
        /// The line of the source where that is, if the object says so.
        line: Option<Box<SourceLine>>,
    },
    /// A program accesses in any case what the target's types do not have (CO-RE).
    #[error("program {program:?} in section {section:?}: the target's types have no {what}{}", At(line.as_deref()))]
    MissingInTarget {
        /// The program.
        program: String,
        /// The section that it is in.
        section: String,
        /// What is missing, by the names that the object has: `vcpu.places[2].y`, or `state::RUNNING`.
        what: String,
        /// The line of the source where it is accessed, if the object says so.
        line: Option<Box<SourceLine>>,
    },
    /// The object has no program.
    #[error(
        "the object has no program (a function in a section such as \"tracepoint/vmm/vm_create\")"
    )]
    NoProgram,
}

/// Says where in the source something is, if that is known.
struct At<'l>(Option<&'l SourceLine>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " ({line})"))
    }
}
