//! Objects: parsed files, what they define, and loading them.

mod definition;
mod load;
mod options;

pub(crate) use definition::CodePlace;
pub use definition::{MapDefinition, Pinning, ProgramDefinition};
pub use load::Object;
pub use options::{LoadOptions, ReuseMap, SelectProgram};

use alloc::string::String;
use alloc::vec::Vec;

use crate::elf;
use crate::load_error::LoadError;

/// The largest object file in bytes.
pub const MAX_OBJECT_BYTES: usize = 16 << 20;

/// The largest number of maps in an object, those for global data included.
pub const MAX_MAPS: usize = 256;

/// The largest number of programs in an object.
pub const MAX_PROGRAMS: usize = 256;

/// A parsed object file: what it defines, before anything of it exists.
///
/// It can be loaded any number of times; the objects that come of it are independent of each other.
///
/// # Examples
///
/// ```no_run
/// use axebpf_vm::{LoadOptions, ObjectFile};
///
/// let bytes = std::fs::read("exit_count.bpf.o")?;
/// let object = ObjectFile::parse(&bytes)?.load(&LoadOptions::new())?;
/// for program in object.programs() {
///     println!("{} for {:?}", program.name(), program.target());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ObjectFile {
    pub(crate) license: String,
    pub(crate) maps: Vec<MapDefinition>,
    pub(crate) programs: Vec<ProgramDefinition>,
}

impl ObjectFile {
    /// Reads an ELF object as clang and bpf-linker make it.
    ///
    /// `elf` may lie at any address. Nothing is created.
    ///
    /// # Errors
    ///
    /// [`LoadError`] names the section, symbol or relocation that is wrong.
    pub fn parse(elf: &[u8]) -> Result<Self, LoadError> {
        if elf.len() > MAX_OBJECT_BYTES {
            return Err(LoadError::TooLarge {
                len: elf.len(),
                limit: MAX_OBJECT_BYTES,
            });
        }
        elf::parse(elf, None)
    }

    /// Reads an ELF object and adapts it to the types of what its programs will look at (CO-RE).
    ///
    /// `types` is BTF, such as the section `.BTF` of the target's image or Linux's `/sys/kernel/btf/vmlinux`. Offsets
    /// and sizes of fields, sizes and numbers of types, and values of enumerations become those that are there.
    ///
    /// An access to what is not there is refused at [`load`](Self::load) if the program makes it in any case
    /// ([`LoadError::MissingInTarget`]). Behind a condition it stays, since programs ask first whether something
    /// exists, and stops the program if that comes there
    /// ([`RunError::MissingInTarget`](crate::RunError::MissingInTarget)).
    ///
    /// # Errors
    ///
    /// [`LoadError`], as [`parse`](Self::parse), and for types that are broken or ambiguous.
    pub fn parse_for(elf: &[u8], types: &[u8]) -> Result<Self, LoadError> {
        if elf.len() > MAX_OBJECT_BYTES {
            return Err(LoadError::TooLarge {
                len: elf.len(),
                limit: MAX_OBJECT_BYTES,
            });
        }
        elf::parse(elf, Some(types))
    }

    /// Returns the sections of the programs of an ELF object, in the order of the programs, without what
    /// [`parse_for`](Self::parse_for) needs to be told: for choosing the types by what the programs are for.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if it is no such object.
    pub fn program_sections(elf: &[u8]) -> Result<Vec<String>, LoadError> {
        if elf.len() > MAX_OBJECT_BYTES {
            return Err(LoadError::TooLarge {
                len: elf.len(),
                limit: MAX_OBJECT_BYTES,
            });
        }
        elf::program_sections(elf)
    }

    /// Returns the licence that the object states in its section `license`, or an empty string.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.license
    }

    /// Returns the maps that the object defines, those for global data included.
    #[must_use]
    pub fn maps(&self) -> &[MapDefinition] {
        &self.maps
    }

    /// Returns the programs that the object defines.
    #[must_use]
    pub fn programs(&self) -> &[ProgramDefinition] {
        &self.programs
    }

    /// Makes the maps, links and checks the programs.
    ///
    /// An array of programs that the object defines with initial values keeps these programs, and they the maps that
    /// they use. Whoever gives the object up empties it first
    /// ([`Map::clear_programs`](axebpf_maps::Map::clear_programs)), as for any array of programs.
    ///
    /// # Errors
    ///
    /// [`LoadError`] names the map or the program that is wrong. Nothing is left behind then.
    pub fn load(&self, options: &LoadOptions<'_>) -> Result<Object, LoadError> {
        load::load(self, options)
    }
}
