//! Where the shell gets eBPF objects from.

use alloc::{borrow::Cow, string::String, vec::Vec};

use thiserror::Error;

/// One object that a source offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    /// The name by which [`ObjectSource::read`] finds it.
    pub name: String,
    /// Its size in bytes.
    pub len: usize,
}

/// An object that a source could not give.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source has nothing of that name.
    #[error("no object named `{name}`")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// The source has it but could not read it.
    #[error("cannot read `{name}`: {reason}")]
    Unreadable {
        /// What was asked for.
        name: String,
        /// What the source says.
        reason: String,
    },
}

/// Offers eBPF objects by name: embedded ones, or the files of a hypervisor that has a file system.
pub trait ObjectSource {
    /// Lists what there is, in the order in which it is to be shown.
    fn list(&self) -> Vec<SourceEntry>;

    /// Returns the bytes of the object `name`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when there is no such object or it cannot be read.
    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError>;
}

/// The source that has nothing, for shells whose objects all come by upload.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObjects;

impl ObjectSource for NoObjects {
    fn list(&self) -> Vec<SourceEntry> {
        Vec::new()
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        Err(SourceError::NotFound { name: name.into() })
    }
}

/// Asks the first source, then the second.
impl<A: ObjectSource, B: ObjectSource> ObjectSource for (A, B) {
    fn list(&self) -> Vec<SourceEntry> {
        let mut entries = self.0.list();
        entries.extend(self.1.list());
        entries
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        match self.0.read(name) {
            Err(SourceError::NotFound { .. }) => self.1.read(name),
            found => found,
        }
    }
}
