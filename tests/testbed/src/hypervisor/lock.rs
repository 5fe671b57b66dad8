//! A spin lock that masks interrupts while it is held.
//!
//! Interrupts stay masked so that neither an interrupt handler nor another task on the same CPU can wait for the holder
//! for ever.

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardNoSend, RawMutex};

use super::sysreg::{self, DaifState};

/// A value that one CPU at a time may use.
///
/// Guards are dropped in the reverse order of their making: each puts back the interrupt mask that it found.
pub(crate) type Lock<T> = lock_api::Mutex<RawLock, T>;

/// The lock itself, also for those who bring their own value, such as the heap.
pub(crate) struct RawLock {
    held: AtomicBool,
    /// What the holder found masked; written and read only while the lock is held.
    found: DaifCell,
}

struct DaifCell(core::cell::UnsafeCell<DaifState>);

// SAFETY: the cell is accessed only by the CPU that holds the lock, which orders these accesses by acquire and release.
unsafe impl Sync for DaifCell {}

// SAFETY: `held` changes from false to true for one CPU at a time, with acquire and release ordering.
unsafe impl RawMutex for RawLock {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "lock_api asks for it"
    )]
    const INIT: Self = Self {
        held: AtomicBool::new(false),
        found: DaifCell(core::cell::UnsafeCell::new(DaifState::MASKED)),
    };
    type GuardMarker = GuardNoSend;

    // A function of its own wherever it is called, so that it can be probed.
    #[inline(never)]
    fn lock(&self) {
        loop {
            if self.try_lock() {
                return;
            }
            while self.held.load(Ordering::Relaxed) {
                // The caller may have masked interrupts, and the holder may be waiting for a fence.
                axebpf::hit::text::answer();
                core::hint::spin_loop();
            }
        }
    }

    fn try_lock(&self) -> bool {
        let found = sysreg::mask_interrupts();
        if self
            .held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            // SAFETY: this CPU holds the lock.
            unsafe { *self.found.0.get() = found };
            true
        } else {
            sysreg::restore_interrupts(found);
            false
        }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock.
        let found = unsafe { *self.found.0.get() };
        self.held.store(false, Ordering::Release);
        sysreg::restore_interrupts(found);
    }
}
