//! The atomics that the rest of the crate uses, and the one lock it has.
//!
//! Under `--cfg loom` these are loom's, so that its model checker sees every access.

#[cfg(not(loom))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    thread::yield_now as spin_loop,
};

/// How often a hit tries to take a lock before it gives up.
///
/// A holder copies at most one value and walks one chain, and it cannot be interrupted, so the lock of a small
/// value is free again long before this runs out.
#[cfg(not(loom))]
const HIT_TRIES: u32 = 1024;
#[cfg(loom)]
const HIT_TRIES: u32 = 2;

/// How long to try for something that another CPU holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Once: for what can be passed over.
    Once,
    /// A bounded number of times: what a hit does.
    Bounded,
    /// Until it is free: what the management side does, inside its own hit guard.
    UntilFree,
}

/// A lock whose owner cannot be interrupted, and for which a hit never waits without bound.
#[derive(Debug)]
pub(crate) struct TryLock(AtomicU32);

impl TryLock {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes the lock, or returns `None` when `effort` is exhausted.
    #[inline]
    pub(crate) fn acquire(&self, effort: Effort) -> Option<Locked<'_>> {
        let mut tries = 0_u32;
        loop {
            if self
                .0
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return Some(Locked(self));
            }
            tries = tries.wrapping_add(1);
            let exhausted = match effort {
                Effort::Once => true,
                Effort::Bounded => tries == HIT_TRIES,
                Effort::UntilFree => false,
            };
            if exhausted {
                return None;
            }
            spin_loop();
        }
    }
}

/// Holds a [`TryLock`]; gives it back when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Locked<'a>(&'a TryLock);

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}

/// Lets readers find out that what they read changed under them.
///
/// Odd while a writer, of which there is one at a time, changes what the counter covers. What is covered consists of
/// atomics, read and written with relaxed ordering; the fences here order them (Boehm, "Can seqlocks get along with
/// programming language memory models?", 2012).
#[derive(Debug)]
pub(crate) struct Sequence(AtomicU32);

impl Sequence {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Runs `change` as one change. The caller holds the lock that keeps other writers out.
    #[inline]
    pub(crate) fn write(&self, change: impl FnOnce()) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.0.store(before.wrapping_add(2), Ordering::Release);
    }

    /// Starts a read; `None` while a writer is at it.
    #[inline]
    pub(crate) fn begin(&self) -> Option<u32> {
        let now = self.0.load(Ordering::Acquire);
        (now & 1 == 0).then_some(now)
    }

    /// Tells whether what was read since `begun` is consistent.
    #[inline]
    pub(crate) fn unchanged(&self, begun: u32) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == begun
    }
}
