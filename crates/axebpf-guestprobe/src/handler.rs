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
    /// When, in the time of the platform's clock.
    pub time_ns: u64,
}

impl fmt::Debug for GuestProbeHit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestProbeHit")
            .field("probe", self.probe)
            .field("vcpu", &self.vcpu)
            .field("regs", self.regs)
            .field("time_ns", &self.time_ns)
            .finish_non_exhaustive()
    }
}
