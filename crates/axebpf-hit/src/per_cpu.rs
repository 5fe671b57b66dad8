//! One value for each CPU.

use core::array;
use core::fmt;
use core::ops::Deref;

use axebpf_platform::CpuId;

use crate::{HitGuard, MAX_CPUS};

/// A value that shares its cache lines with no other.
///
/// 128 bytes are two lines of most CPUs, which fetch lines in pairs, and one line of the others.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(T);

impl<T> Padded<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One `T` for each CPU, each in its own cache lines.
///
/// # Examples
///
/// ```
/// use core::sync::atomic::{AtomicU64, Ordering};
///
/// use axebpf_hit::{MAX_CPUS, Padded, PerCpu};
/// use axebpf_platform::mock::MOCK;
///
/// static HITS: PerCpu<AtomicU64> = PerCpu::new([const { Padded::new(AtomicU64::new(0)) }; MAX_CPUS]);
///
/// axebpf_hit::install(&MOCK)?;
/// let guard = axebpf_hit::enter()?;
/// HITS.get(&guard).fetch_add(1, Ordering::Relaxed);
/// drop(guard);
///
/// let total: u64 = HITS.iter().map(|(_cpu, hits)| hits.load(Ordering::Relaxed)).sum();
/// assert_eq!(total, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PerCpu<T> {
    slots: [Padded<T>; MAX_CPUS],
}

impl<T> PerCpu<T> {
    /// Wraps one value for each CPU. For statics; see the example above.
    pub const fn new(slots: [Padded<T>; MAX_CPUS]) -> Self {
        Self { slots }
    }

    /// Makes one value for each CPU with `init`.
    pub fn from_fn(mut init: impl FnMut(CpuId) -> T) -> Self {
        Self::new(array::from_fn(|index| Padded(init(cpu(index)))))
    }

    /// Returns the value of the CPU that is in the hit.
    ///
    /// Nothing but this hit gets at the value through this method, so it need not be shared between threads.
    #[must_use]
    pub fn get<'g>(&'g self, guard: &'g HitGuard) -> &'g T {
        &self.slots[guard.cpu().index()].0
    }

    /// Visits the values of all CPUs, those of CPUs that do not exist included.
    pub fn iter(&self) -> impl Iterator<Item = (CpuId, &T)>
    where
        T: Sync,
    {
        (0..).map(cpu).zip(self.slots.iter().map(|slot| &slot.0))
    }

    /// Visits the values of all CPUs for writing.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (CpuId, &mut T)> {
        (0..)
            .map(cpu)
            .zip(self.slots.iter_mut().map(|slot| &mut slot.0))
    }
}

impl<T: Default> Default for PerCpu<T> {
    fn default() -> Self {
        Self::from_fn(|_| T::default())
    }
}

impl<T: fmt::Debug + Sync> fmt::Debug for PerCpu<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(cpu, value)| (cpu.get(), value)))
            .finish()
    }
}

/// Names the CPU of a slot. There are at most [`MAX_CPUS`], so the number fits.
const fn cpu(index: usize) -> CpuId {
    CpuId::new(index as u32)
}

// SAFETY: `iter` shares a value between threads only when it is `Sync`. `get` gives it to the one guard there is for a
// CPU at a time, and the next guard of the CPU sees all that this one did, so for it a value only moves.
unsafe impl<T: Send> Sync for PerCpu<T> {}
