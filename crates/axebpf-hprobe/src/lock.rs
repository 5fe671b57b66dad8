//! Taking the management lock.

use axebpf_hit::text;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::HprobeError;

/// Takes a lock that no hit ever takes, and that may be held over a fence.
pub(crate) fn lock<T: ?Sized>(mutex: &SpinMutex<T>) -> Result<SpinMutexGuard<'_, T>, HprobeError> {
    if axebpf_hit::in_hit() {
        return Err(HprobeError::InHit);
    }
    loop {
        if let Some(guard) = mutex.try_lock() {
            return Ok(guard);
        }
        // The holder may be waiting for this CPU to answer its fence.
        text::answer();
        core::hint::spin_loop();
    }
}
