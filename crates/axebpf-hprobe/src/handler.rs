//! What happens when a probe fires.

use core::fmt;

use axebpf_a64::PtRegs;
use axebpf_hit::HitGuard;

use crate::ProbePoint;

/// Takes the hits of a probe.
///
/// It runs with interrupts masked, possibly within the memory allocator: it must not allocate, log, or wait
/// for a lock. `R` are the registers of the architecture.
pub trait HprobeHandler<R = PtRegs>: Send + Sync {
    /// Handles one hit: the instruction is about to be executed, or the function has returned.
    fn hit(&self, hit: &HprobeHit<'_, R>);

    /// Handles the entry of a function whose return is probed, and returns what is handed to that return.
    ///
    /// With `None`, the return of this call is not waited for, which counts as nothing.
    fn entry(&self, hit: &HprobeHit<'_, R>) -> Option<u64> {
        let _ = hit;
        Some(0)
    }
}

/// What the entry of a function has left for its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// When the function was entered, in nanoseconds of the platform's clock.
    pub time_ns: u64,
    /// What [`HprobeHandler::entry`] returned.
    pub data: u64,
}

/// One hit of a probe. `R` are the registers of the architecture.
#[derive(Clone, Copy)]
pub struct HprobeHit<'a, R = PtRegs> {
    /// Proof of being in a hit.
    pub guard: &'a HitGuard,
    /// Which probe fired.
    pub point: &'a ProbePoint,
    /// The registers of the interrupted code; `pc` is the address of the displaced instruction, or for the
    /// return of a function the address to which it returns.
    pub regs: &'a R,
    /// What the entry has left, for the return of a function.
    pub entered: Option<Entered>,
}

impl<R> HprobeHit<'_, R> {
    /// Returns the time now, in nanoseconds of the platform's clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.guard.platform().now_ns()
    }
}

impl<R: fmt::Debug> fmt::Debug for HprobeHit<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HprobeHit")
            .field("point", self.point)
            .field("regs", self.regs)
            .field("entered", &self.entered)
            .finish_non_exhaustive()
    }
}
