//! The management lock.

use axebpf_hit::text;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::Error;

/// Guards what management changes. A hit never takes it.
///
/// It is held with interrupts open and across fences. So whoever waits for it answers the fences of
/// others, and whoever is in a hit is refused rather than left waiting for what the fence is
/// waiting for.
pub(crate) struct ManagementLock<T>(SpinMutex<T>);

impl<T> ManagementLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> Result<SpinMutexGuard<'_, T>, Error> {
        if axebpf_hit::in_hit() {
            return Err(Error::InHit);
        }
        loop {
            if let Some(guard) = self.0.try_lock() {
                return Ok(guard);
            }
            text::answer();
            core::hint::spin_loop();
        }
    }
}
