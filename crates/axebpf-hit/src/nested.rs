//! Being above a hit: code that interrupted one.

use core::fmt;
use core::marker::PhantomData;

use crate::HitGuard;

/// Proof of running above a hit of this CPU, which cannot go on before the proof is gone.
///
/// A probe that fires inside a hit finds [`Missed::Nested`](crate::Missed::Nested). It runs no handler, but it still
/// has to read what is published, to know how to go on: the hit below it keeps that alive.
pub struct NestedHit<'h> {
    /// The hit below.
    _hit: PhantomData<&'h HitGuard>,
    /// It belongs to the CPU of that hit: neither `Send` nor `Sync`.
    _this_cpu: PhantomData<*mut ()>,
}

impl NestedHit<'_> {
    /// States that this code runs above a hit.
    ///
    /// # Safety
    ///
    /// [`enter`](crate::enter) has just returned [`Missed::Nested`](crate::Missed::Nested) on this CPU, interrupts are
    /// masked, and until the value is dropped they stay masked and the code that is in the hit does not go on. All of
    /// it is so in an exception handler that interrupted the hit and drops the value before it returns from the
    /// exception.
    #[must_use]
    pub unsafe fn assume() -> Self {
        Self {
            _hit: PhantomData,
            _this_cpu: PhantomData,
        }
    }
}

impl fmt::Debug for NestedHit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NestedHit").finish_non_exhaustive()
    }
}
