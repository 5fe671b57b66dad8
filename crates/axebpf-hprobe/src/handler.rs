//! What happens when a probe fires.

use core::fmt;

use axebpf_a64::PtRegs;
use axebpf_hit::HitGuard;

use crate::ProbePoint;

/// Takes the hits of a probe.
///
/// It runs with interrupts masked, possibly within the memory allocator: it must not allocate, log, or wait
/// for a lock.
pub trait HprobeHandler: Send + Sync {
    /// Handles one hit.
    fn hit(&self, hit: &HprobeHit<'_>);
}

/// One hit of a probe.
#[derive(Clone, Copy)]
pub struct HprobeHit<'a> {
    /// Proof of being in a hit.
    pub guard: &'a HitGuard,
    /// Which probe fired.
    pub point: &'a ProbePoint,
    /// The registers of the interrupted code; `pc` is the address of the displaced instruction, or for the
    /// return of a function the address to which it returns.
    pub regs: &'a PtRegs,
    /// When, in the time of the platform's clock.
    pub time_ns: u64,
}

impl fmt::Debug for HprobeHit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HprobeHit")
            .field("point", self.point)
            .field("regs", self.regs)
            .field("time_ns", &self.time_ns)
            .finish_non_exhaustive()
    }
}
