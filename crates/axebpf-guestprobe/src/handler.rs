//! What happens when a probe fires.

use core::fmt;

use axebpf_a64::PtRegs;
use axebpf_hit::HitGuard;
use axebpf_platform::Vcpu;

use crate::{GuestContext, GuestProbe};

/// Takes the hits of a probe.
///
/// It runs at EL2 with interrupts masked: it must not allocate, log, or wait for a lock.
pub trait GuestProbeHandler: Send + Sync {
    /// Handles one hit.
    fn hit(&self, hit: &GuestProbeHit<'_>);
}

/// What the entry of a function has left for its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// When the function was entered, in nanoseconds of the platform's clock.
    pub time_ns: u64,
    /// The registers x0 to x7 at its entry: its arguments.
    pub arguments: [u64; 8],
}

/// One hit of a probe.
#[derive(Clone, Copy)]
pub struct GuestProbeHit<'a> {
    /// Proof of being in a hit.
    pub guard: &'a HitGuard,
    /// Which probe fired.
    pub probe: &'a GuestProbe,
    /// Where it fired.
    pub vcpu: Vcpu,
    /// The guest's registers; `pc` is the address of the probed instruction, or for the return of a
    /// function the address to which it returns.
    pub regs: &'a PtRegs,
    /// The guest's memory, and which of its tasks runs.
    pub guest: &'a GuestContext<'a>,
    /// What the entry has left, for the return of a function.
    pub entered: Option<Entered>,
}

impl GuestProbeHit<'_> {
    /// Returns the time, in nanoseconds of the platform's clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.guard.platform().now_ns()
    }
}

impl fmt::Debug for GuestProbeHit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestProbeHit")
            .field("probe", self.probe)
            .field("vcpu", &self.vcpu)
            .field("regs", self.regs)
            .field("entered", &self.entered)
            .finish_non_exhaustive()
    }
}
