//! Entering and leaving a hit.

use core::fmt;
use core::marker::PhantomData;

use axebpf_platform::{CpuId, InterruptState, Platform};

use crate::sync::{Ordering, Words, fence, shared_static};
use crate::{Missed, environment};

shared_static! {
    /// The sequence word of each CPU: odd while it is in a hit.
    static SEQUENCE: Words = Words::new();
}

/// Proof of being in a hit on this CPU, which has interrupts masked.
///
/// Functions that must only run in a hit take a reference to it. Dropping it leaves the hit and puts the interrupt
/// mask back. A guard that is leaked keeps its CPU in the hit for good: nothing fires there any more, and nothing
/// that was published is ever reclaimed.
#[must_use = "dropping it leaves the hit"]
pub struct HitGuard {
    platform: &'static dyn Platform,
    cpu: CpuId,
    interrupts: InterruptState,
    /// The guard belongs to the CPU that made it: neither `Send` nor `Sync`.
    _this_cpu: PhantomData<*mut ()>,
}

impl HitGuard {
    /// Returns the CPU that is in the hit.
    #[must_use]
    pub fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// Returns the platform of the image.
    #[must_use]
    pub fn platform(&self) -> &'static dyn Platform {
        self.platform
    }
}

impl fmt::Debug for HitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HitGuard")
            .field("cpu", &self.cpu)
            .finish_non_exhaustive()
    }
}

impl Drop for HitGuard {
    fn drop(&mut self) {
        let word = SEQUENCE.of(self.cpu);
        // Nobody else writes an odd word, so this is no race. Released: whoever sees the even number also sees all
        // that the hit did, and may free what the hit read.
        word.store(
            word.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Release,
        );
        self.platform.restore(self.interrupts);
    }
}

/// Enters a hit on this CPU: masks interrupts and marks the CPU as being in one.
///
/// Counts nothing by itself; who fires counts what it missed. Also the way to take a lock that hits can want: a
/// probe inside the critical section is then missed instead of deadlocking.
///
/// # Errors
///
/// [`Missed::Nested`] when this CPU is in a hit already. Interrupts are then as they were.
pub fn enter() -> Result<HitGuard, Missed> {
    let platform = environment::platform().ok_or(Missed::NotInstalled)?;
    let interrupts = platform.mask();
    match mark(platform) {
        Ok(cpu) => Ok(HitGuard {
            platform,
            cpu,
            interrupts,
            _this_cpu: PhantomData,
        }),
        Err(missed) => {
            platform.restore(interrupts);
            Err(missed)
        }
    }
}

/// Makes the word of this CPU odd.
fn mark(platform: &dyn Platform) -> Result<CpuId, Missed> {
    let cpu = environment::current_cpu(platform).map_err(|cpu| Missed::UnknownCpu { cpu })?;
    let word = SEQUENCE.of(cpu);
    let even = word.load(Ordering::Relaxed);
    if is_odd(even) {
        return Err(Missed::Nested);
    }
    // Exchanged, not stored, so that a platform that gives two CPUs one number loses hits instead of giving two
    // guards for one CPU.
    word.compare_exchange(
        even,
        even.wrapping_add(1),
        Ordering::Acquire,
        Ordering::Relaxed,
    )
    .map_err(|_| Missed::Nested)?;
    // Pairs with the fence in `quiesce`: either it sees the odd word, or this hit sees what was published before it.
    fence(Ordering::SeqCst);
    Ok(cpu)
}

/// Tells whether this CPU is in a hit.
#[must_use]
pub fn in_hit() -> bool {
    environment::platform().is_some_and(|platform| hit_here(platform).is_some())
}

/// Returns this CPU if it is in a hit.
pub(crate) fn hit_here(platform: &dyn Platform) -> Option<CpuId> {
    // Without the mask, the answer could be that of a CPU that the caller has just left.
    let interrupts = platform.mask();
    let cpu = environment::current_cpu(platform)
        .ok()
        .filter(|&cpu| is_odd(sequence(cpu)));
    platform.restore(interrupts);
    cpu
}

/// Returns the sequence word of `cpu`, with all that its hits did before it.
pub(crate) fn sequence(cpu: CpuId) -> usize {
    SEQUENCE.of(cpu).load(Ordering::Acquire)
}

/// Tells whether a sequence word is that of a CPU in a hit.
pub(crate) const fn is_odd(word: usize) -> bool {
    word & 1 == 1
}
