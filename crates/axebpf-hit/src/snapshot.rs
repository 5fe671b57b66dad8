//! The cell from which a hit reads its handlers without a lock.

use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::{NonNull, null_mut};

use crate::sync::{AtomicPtr, Ordering, const_unless_loom};
use crate::{HitError, HitGuard, NestedHit, quiesce};

/// A value that hits read and that is replaced as a whole.
///
/// # Examples
///
/// ```
/// use axebpf_hit::Snapshot;
/// use axebpf_platform::mock::MOCK;
///
/// static HANDLERS: Snapshot<Vec<&'static str>> = Snapshot::empty();
///
/// axebpf_hit::install(&MOCK)?;
/// HANDLERS.publish(Some(Box::new(vec!["count", "print"]))).reclaim()?;
///
/// let guard = axebpf_hit::enter()?;
/// assert_eq!(HANDLERS.load(&guard).map(Vec::len), Some(2));
/// drop(guard);
///
/// let old = HANDLERS.publish(None).reclaim()?;
/// assert_eq!(old.as_deref(), Some(&vec!["count", "print"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Snapshot<T> {
    /// What `Box::into_raw` returned, or null.
    current: AtomicPtr<T>,
    /// The cell owns the value.
    _owned: PhantomData<Box<T>>,
}

impl<T> Snapshot<T> {
    const_unless_loom! {
        /// Makes a cell that holds nothing.
        #[must_use]
        pub fn empty() -> Self {
            Self {
                current: AtomicPtr::new(null_mut()),
                _owned: PhantomData,
            }
        }
    }

    /// Returns what is published, for as long as the hit lasts.
    #[must_use]
    pub fn load<'g>(&'g self, _guard: &'g HitGuard) -> Option<&'g T> {
        // SAFETY: The guard, which the reference borrows, is the hit.
        unsafe { self.read() }
    }

    /// Returns what is published, for as long as the hit below lasts.
    ///
    /// It need not be what that hit loaded.
    #[must_use]
    pub fn load_nested<'g>(&'g self, _nested: &'g NestedHit<'_>) -> Option<&'g T> {
        // SAFETY: This CPU is in a hit, which cannot end before the proof is gone, which the reference borrows.
        unsafe { self.read() }
    }

    /// Returns what is published.
    ///
    /// # Safety
    ///
    /// This CPU is in a hit, which lasts at least as long as the reference.
    unsafe fn read(&self) -> Option<&T> {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: Null, or a value that a box held, initialised before it was published with release. It is freed
        // only by `Retired::reclaim`, after a `quiesce` that began when it was no longer published and that waits for
        // this hit, and by the drop of the cell, which the borrow of the cell excludes.
        unsafe { current.as_ref() }
    }

    /// Replaces what is published, and returns what was, which hits may still be reading.
    ///
    /// Waits for nothing and may be called inside a hit.
    pub fn publish(&self, next: Option<Box<T>>) -> Retired<T> {
        let next = next.map_or(null_mut(), Box::into_raw);
        Retired {
            value: NonNull::new(self.current.swap(next, Ordering::AcqRel)),
            _owned: PhantomData,
        }
    }
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl<T> Drop for Snapshot<T> {
    fn drop(&mut self) {
        // No hit holds a borrow of the cell any more, so none holds one of the value.
        let current = self.current.load(Ordering::Relaxed);
        if !current.is_null() {
            // SAFETY: Came out of `Box::into_raw` and nobody else has it, see above.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}

// SAFETY: The cell owns a `T`, which moves with it.
unsafe impl<T: Send> Send for Snapshot<T> {}

// SAFETY: Through a shared cell, threads share a `T` (load) and move one in and out (publish).
unsafe impl<T: Send + Sync> Sync for Snapshot<T> {}

/// What was published before, and may still be read by hits.
///
/// Dropping it waits for those and frees the value, as [`reclaim`](Self::reclaim) does; where that cannot be done,
/// inside a hit for one, the value is leaked.
#[must_use = "dropping it waits for the hits of all CPUs"]
pub struct Retired<T> {
    value: Option<NonNull<T>>,
    _owned: PhantomData<Box<T>>,
}

impl<T> Retired<T> {
    /// Waits until no hit reads the value any more, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`quiesce`]. The value is leaked then: it may be in use.
    pub fn reclaim(self) -> Result<Option<Box<T>>, HitError> {
        let mut this = ManuallyDrop::new(self);
        this.take()
    }

    /// Tells whether there was a value.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.value.is_some()
    }

    fn take(&mut self) -> Result<Option<Box<T>>, HitError> {
        let Some(value) = self.value.take() else {
            return Ok(None);
        };
        quiesce()?;
        // SAFETY: `publish` took it out of the cell, so it came out of `Box::into_raw` and is in here alone. Hits that
        // loaded it before have ended, and later ones cannot find it.
        Ok(Some(unsafe { Box::from_raw(value.as_ptr()) }))
    }
}

impl<T> fmt::Debug for Retired<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired")
            .field("is_some", &self.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        // A failure has leaked the value, which is all that can be done about it here.
        let _ = self.take();
    }
}

// SAFETY: Owns a `T`, which other threads may still be sharing.
unsafe impl<T: Send + Sync> Send for Retired<T> {}
