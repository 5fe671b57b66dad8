//! Who may do what with the values of a map.

use crate::sync::{AtomicBool, Ordering};
use crate::{MapError, MapFlags, Operation};

/// What one side, programs or management, may do with the values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
    /// Write only.
    WriteOnly,
}

impl Access {
    /// Tells whether reading is allowed.
    #[must_use]
    pub const fn can_read(self) -> bool {
        !matches!(self, Self::WriteOnly)
    }

    /// Tells whether writing is allowed.
    #[must_use]
    pub const fn can_write(self) -> bool {
        !matches!(self, Self::ReadOnly)
    }

    pub(crate) fn of_programs(flags: MapFlags) -> Self {
        if flags.contains(MapFlags::RDONLY_PROG) {
            Self::ReadOnly
        } else if flags.contains(MapFlags::WRONLY_PROG) {
            Self::WriteOnly
        } else {
            Self::ReadWrite
        }
    }

    pub(crate) fn of_management(flags: MapFlags) -> Self {
        if flags.contains(MapFlags::RDONLY) {
            Self::ReadOnly
        } else if flags.contains(MapFlags::WRONLY) {
            Self::WriteOnly
        } else {
            Self::ReadWrite
        }
    }

    pub(crate) fn check_read(self) -> Result<(), MapError> {
        if self.can_read() {
            Ok(())
        } else {
            Err(MapError::Forbidden {
                operation: Operation::Lookup,
            })
        }
    }

    pub(crate) fn check_write(self, operation: Operation) -> Result<(), MapError> {
        if self.can_write() {
            Ok(())
        } else {
            Err(MapError::Forbidden { operation })
        }
    }
}

/// Whether the management side has given up writing (`BPF_MAP_FREEZE`).
#[derive(Debug)]
pub(crate) struct Frozen(AtomicBool);

impl Frozen {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
