//! Statistics that need no program.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::{HitGuard, Padded};

use crate::error::TpError;

/// Counts the buckets of a histogram: one for zero and one for each power of two.
pub const BUCKETS: usize = 65;

/// What happened to an event while its statistics were gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How often it fired.
    pub count: u64,
    /// When it last fired, in nanoseconds since the machine started; 0 when it never did.
    pub last_ns: u64,
    /// The durations of its firings; empty when it has none.
    pub durations: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: 0,
            last_ns: 0,
            durations: Histogram::EMPTY,
        }
    }
}

/// A distribution of durations, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
    buckets: [u64; BUCKETS],
}

impl Histogram {
    const EMPTY: Self = Self {
        count: 0,
        sum: 0,
        min: u64::MAX,
        max: 0,
        buckets: [0; BUCKETS],
    };

    /// Returns how many durations there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the shortest, in nanoseconds.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// Returns the longest, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// Returns the mean, in nanoseconds, rounded down.
    #[must_use]
    pub const fn mean_ns(&self) -> Option<u64> {
        self.sum.checked_div(self.count)
    }

    /// Returns how many durations are in each bucket: bucket 0 holds zero, bucket `n` holds
    /// `2^(n-1)` to `2^n - 1`.
    #[must_use]
    pub const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// Returns the first and the last duration that go into a bucket, in nanoseconds.
    #[must_use]
    pub const fn bucket_range(bucket: usize) -> core::ops::RangeInclusive<u64> {
        match bucket {
            0 => 0..=0,
            1..=63 => (1 << (bucket - 1))..=((1 << bucket) - 1),
            _ => (1 << 63)..=u64::MAX,
        }
    }

    /// Returns the duration below or at which `percent` of all are, in nanoseconds.
    ///
    /// Exact to the bucket: interpolated within it, and never outside of what was seen. Values
    /// above 100 count as 100.
    #[must_use]
    pub fn percentile_ns(&self, percent: u8) -> Option<u64> {
        let (min, max) = (self.min_ns()?, self.max_ns()?);
        let percent = u128::from(percent.min(100));
        let rank = (u128::from(self.count) * percent).div_ceil(100).max(1) as u64;
        let mut below = 0;
        for (bucket, &here) in self.buckets.iter().enumerate() {
            if below + here >= rank {
                let range = Self::bucket_range(bucket);
                let (low, high) = ((*range.start()).max(min), (*range.end()).min(max));
                let width = u128::from(high.saturating_sub(low));
                let part = width * u128::from(rank - below) / u128::from(here);
                return Some(low.saturating_add(part as u64));
            }
            below += here;
        }
        Some(max)
    }

    fn add(&mut self, cpu: &CpuStats) {
        self.count += cpu.durations.load(Ordering::Relaxed);
        self.sum = self.sum.saturating_add(cpu.sum.load(Ordering::Relaxed));
        self.min = self.min.min(cpu.min.load(Ordering::Relaxed));
        self.max = self.max.max(cpu.max.load(Ordering::Relaxed));
        for (total, bucket) in self.buckets.iter_mut().zip(&cpu.buckets) {
            *total += bucket.load(Ordering::Relaxed);
        }
    }
}

/// The statistics of one event, made when it is first enabled and kept for good.
#[derive(Debug)]
pub(crate) struct EventStats {
    cpus: Box<[Padded<CpuStats>]>,
}

/// The share of one CPU, which alone writes it, in hits.
#[derive(Debug)]
struct CpuStats {
    count: AtomicU64,
    last_ns: AtomicU64,
    durations: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl CpuStats {
    const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            durations: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    fn record(&self, time_ns: u64, duration: Option<u64>) {
        add(&self.count, 1);
        self.last_ns.store(time_ns, Ordering::Relaxed);
        let Some(duration) = duration else {
            return;
        };
        add(&self.durations, 1);
        let sum = self.sum.load(Ordering::Relaxed).saturating_add(duration);
        self.sum.store(sum, Ordering::Relaxed);
        if duration < self.min.load(Ordering::Relaxed) {
            self.min.store(duration, Ordering::Relaxed);
        }
        if duration > self.max.load(Ordering::Relaxed) {
            self.max.store(duration, Ordering::Relaxed);
        }
        add(&self.buckets[bucket_of(duration)], 1);
    }

    fn reset(&self) {
        for counter in [
            &self.count,
            &self.last_ns,
            &self.durations,
            &self.sum,
            &self.max,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.min.store(u64::MAX, Ordering::Relaxed);
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

/// Adds to a counter that only this CPU writes: cheaper than an atomic addition.
fn add(counter: &AtomicU64, amount: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(amount);
    counter.store(sum, Ordering::Relaxed);
}

/// Returns the bucket that a duration goes into.
const fn bucket_of(duration: u64) -> usize {
    (u64::BITS - duration.leading_zeros()) as usize
}

impl EventStats {
    /// Makes statistics for so many CPUs.
    pub(crate) fn new(cpus: u32) -> Result<Self, TpError> {
        let cpus = cpus as usize;
        let mut slots = Vec::new();
        slots
            .try_reserve_exact(cpus)
            .map_err(|_| TpError::OutOfMemory {
                bytes: cpus * size_of::<Padded<CpuStats>>(),
            })?;
        slots.extend((0..cpus).map(|_| Padded::new(CpuStats::new())));
        Ok(Self {
            cpus: slots.into_boxed_slice(),
        })
    }

    /// Takes one firing, and its duration in nanoseconds if it has one.
    pub(crate) fn record(&self, guard: &HitGuard, time_ns: u64, duration: Option<u64>) {
        if let Some(cpu) = self.cpus.get(guard.cpu().index()) {
            cpu.record(time_ns, duration);
        }
    }

    /// Sums the CPUs up.
    pub(crate) fn sum(&self) -> Stats {
        let mut stats = Stats::default();
        for cpu in &self.cpus {
            stats.count += cpu.count.load(Ordering::Relaxed);
            stats.last_ns = stats.last_ns.max(cpu.last_ns.load(Ordering::Relaxed));
            stats.durations.add(cpu);
        }
        stats
    }

    /// Sets everything to zero. A firing at the same time may be lost or stay.
    pub(crate) fn reset(&self) {
        self.cpus.iter().for_each(|cpu| cpu.reset());
    }
}
