//! Places in a guest that can be probed, and the ways to do it.

use core::fmt;

use axebpf_platform::{GuestVirt, VmId};

use crate::GuestProbeError;

/// Whether a probe fires before an instruction or when a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// Before the instruction, which at offset 0 is the entry of the function.
    Entry,
    /// When the function returns to its caller.
    Return,
}

/// How the guest is made to leave to EL2 at the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProbeMode {
    /// `BRK` in a copy of the page that the guest executes and does not see when it reads (execute-only
    /// stage 2).
    HiddenBrk,
    /// `BRK` in the guest's own memory, where the guest can see it. Needs `MDCR_EL2.TDE`.
    Brk,
    /// `HVC` in the guest's own memory. Needs no debug exceptions; does not reach EL2 at an entry that a
    /// landing pad guards.
    Hvc,
    /// The page is not executable in stage 2. Changes no memory; each fetch from the page leaves the guest.
    Stage2Fault,
}

impl fmt::Display for ProbeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HiddenBrk => "hidden-brk",
            Self::Brk => "brk",
            Self::Hvc => "hvc",
            Self::Stage2Fault => "stage2-fault",
        })
    }
}

/// A probe in a guest's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestProbe {
    vm: VmId,
    at: GuestVirt,
    kind: ProbeKind,
    mode: ProbeMode,
    max_active: u16,
}

/// How many calls that have not returned a probe remembers unless it is told otherwise.
const MAX_ACTIVE: u16 = 128;

impl GuestProbe {
    /// Names the instruction at `at` in the kernel of `vm`; for [`ProbeKind::Return`] the first one of the
    /// function.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError::Misaligned`] if no instruction can be there.
    pub fn new(
        vm: VmId,
        at: GuestVirt,
        kind: ProbeKind,
        mode: ProbeMode,
    ) -> Result<Self, GuestProbeError> {
        if !at.is_aligned(4) {
            return Err(GuestProbeError::Misaligned { at });
        }
        Ok(Self {
            vm,
            at,
            kind,
            mode,
            max_active: MAX_ACTIVE,
        })
    }

    /// Returns the virtual machine.
    #[must_use]
    pub fn vm(&self) -> VmId {
        self.vm
    }

    /// Returns the instruction that has to trap.
    #[must_use]
    pub fn at(&self) -> GuestVirt {
        self.at
    }

    /// Returns when the probe fires.
    #[must_use]
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// Says that up to `calls` calls of a probe on returns are expected not to have returned yet, at least one, instead
    /// of 128.
    ///
    /// All probes on returns of a guest share a table with room for four times what they expect, at most 16384 calls of
    /// 104 bytes, in eight parts for different tasks. Where a part is full, its oldest call is forgotten and counts as
    /// missed.
    #[must_use]
    pub fn with_max_active(self, calls: u16) -> Self {
        Self {
            max_active: calls.max(1),
            ..self
        }
    }

    /// Returns how many calls are expected not to have returned yet.
    #[must_use]
    pub fn max_active(&self) -> u16 {
        self.max_active
    }

    /// Returns how the guest is made to leave.
    #[must_use]
    pub fn mode(&self) -> ProbeMode {
        self.mode
    }
}
