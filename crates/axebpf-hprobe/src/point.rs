//! Places that can be probed.

use axebpf_platform::HostVirt;

use crate::HprobeError;

/// Whether a probe fires before an instruction or when a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// Before the instruction, which at offset 0 is the entry of the function.
    Entry,
    /// When the function returns to its caller.
    Return,
}

/// A place in the hypervisor that can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbePoint {
    function: HostVirt,
    at: HostVirt,
    kind: ProbeKind,
}

impl ProbePoint {
    /// Names the instruction `offset` bytes into the function that starts at `function`.
    ///
    /// # Errors
    ///
    /// [`HprobeError::Misaligned`] or [`HprobeError::OffsetOverflow`] if no instruction can be there.
    pub fn entry(function: HostVirt, offset: u64) -> Result<Self, HprobeError> {
        let at = function
            .checked_add(offset)
            .ok_or(HprobeError::OffsetOverflow { function, offset })?;
        Self::new(function, at, ProbeKind::Entry)
    }

    /// Names the instruction `offset` bytes into the function that starts at `function`, on an architecture whose
    /// instructions are of several lengths, so that one can be anywhere.
    ///
    /// # Errors
    ///
    /// [`HprobeError::OffsetOverflow`] if nothing can be there.
    pub fn entry_unaligned(function: HostVirt, offset: u64) -> Result<Self, HprobeError> {
        let at = function
            .checked_add(offset)
            .ok_or(HprobeError::OffsetOverflow { function, offset })?;
        Ok(Self {
            function,
            at,
            kind: ProbeKind::Entry,
        })
    }

    /// Names the return of the function that starts at `function`.
    ///
    /// # Errors
    ///
    /// [`HprobeError::Misaligned`] if no function can start there.
    pub fn returning(function: HostVirt) -> Result<Self, HprobeError> {
        Self::new(function, function, ProbeKind::Return)
    }

    fn new(function: HostVirt, at: HostVirt, kind: ProbeKind) -> Result<Self, HprobeError> {
        if !at.is_aligned(4) {
            return Err(HprobeError::Misaligned { at });
        }
        Ok(Self { function, at, kind })
    }

    /// Returns the start of the function.
    #[must_use]
    pub fn function(&self) -> HostVirt {
        self.function
    }

    /// Returns the instruction that has to be displaced: the first one of the function for a probe on its
    /// return.
    #[must_use]
    pub fn at(&self) -> HostVirt {
        self.at
    }

    /// Returns when the probe fires.
    #[must_use]
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }
}
