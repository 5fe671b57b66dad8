//! Taking a management lock.

use axebpf_hit::text;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::error::TpError;

/// Takes a lock that no hit ever takes, and that may be held over a fence.
///
/// # Errors
///
/// [`TpError::InHit`]: inside a hit, the holder may be what was interrupted.
pub(crate) fn lock<T>(mutex: &SpinMutex<T>) -> Result<SpinMutexGuard<'_, T>, TpError> {
    if axebpf_hit::in_hit() {
        return Err(TpError::InHit);
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
