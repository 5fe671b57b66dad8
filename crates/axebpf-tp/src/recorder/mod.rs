//! The built-in event buffer.

mod reader;
mod ring;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axebpf_hit::Padded;
use spin::Once;

pub use reader::{Entry, Reader};

use crate::dispatch::TraceHit;
use crate::error::TpError;
use crate::recorder::ring::Ring;

/// Tells what a full buffer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Forgets the oldest entries: the buffer always holds what happened last.
    Overwrite,
    /// Forgets the newest: the buffer holds what happened first since it was cleared.
    Discard,
}

/// The buffer of each CPU that enabled events are recorded into.
///
/// There is one, [`RECORDER`]. Writing and reading take no lock, so that what it holds can be
/// dumped after a panic, even one inside a hit.
#[derive(Debug)]
pub struct Recorder {
    /// One set of rings for each size that was ever in use. They are kept for when the size comes
    /// back, because a hit or a reader may be using them at any time.
    sets: [Once<Box<[Padded<Ring>]>>; SIZES],
    /// The number of the set in use, or [`SIZES`] for none.
    current: AtomicUsize,
    discards: AtomicBool,
}

/// The event buffer of the image.
pub static RECORDER: Recorder = Recorder {
    sets: [const { Once::new() }; SIZES],
    current: AtomicUsize::new(SIZES),
    discards: AtomicBool::new(false),
};

/// How many sizes there are: powers of two from [`Recorder::MIN_SIZE`] to [`Recorder::MAX_SIZE`].
const SIZES: usize = (Recorder::MAX_SIZE / Recorder::MIN_SIZE).ilog2() as usize + 1;

impl Recorder {
    /// The least that each CPU's buffer can have, in bytes.
    pub const MIN_SIZE: usize = 4096;

    /// The most that each CPU's buffer can have, in bytes.
    pub const MAX_SIZE: usize = 1 << 28;

    /// What each CPU's buffer has unless somebody asks otherwise, in bytes.
    pub const DEFAULT_SIZE: usize = 64 << 10;

    /// Gives each CPU a buffer of `bytes`, rounded up to a power of two, and forgets what was
    /// recorded.
    ///
    /// The memory of a size stays reserved once it was in use.
    ///
    /// # Errors
    ///
    /// [`TpError::BufferSize`] outside of [`MIN_SIZE`](Self::MIN_SIZE) to
    /// [`MAX_SIZE`](Self::MAX_SIZE), [`TpError::OutOfMemory`], [`TpError::NotInstalled`], and
    /// [`TpError::InHit`].
    pub fn resize(&self, bytes: usize) -> Result<(), TpError> {
        let size = bytes.checked_next_power_of_two().unwrap_or(usize::MAX);
        if !(Self::MIN_SIZE..=Self::MAX_SIZE).contains(&size) {
            let (min, max) = (Self::MIN_SIZE, Self::MAX_SIZE);
            return Err(TpError::BufferSize { bytes, min, max });
        }
        if axebpf_hit::in_hit() {
            return Err(TpError::InHit);
        }
        let set = (size / Self::MIN_SIZE).ilog2() as usize;
        let rings = self.sets[set].try_call_once(|| rings(size))?;
        rings.iter().for_each(|ring| ring.clear());
        self.current.store(set, Ordering::Release);
        Ok(())
    }

    /// Returns the size of each CPU's buffer in bytes, or 0 while there is none.
    #[must_use]
    pub fn size(&self) -> usize {
        match self.current.load(Ordering::Relaxed) {
            SIZES => 0,
            set => Self::MIN_SIZE << set,
        }
    }

    /// Sets what a full buffer does, from now on.
    pub fn set_overflow(&self, overflow: Overflow) {
        self.discards
            .store(overflow == Overflow::Discard, Ordering::Relaxed);
    }

    /// Returns what a full buffer does.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        if self.discards.load(Ordering::Relaxed) {
            Overflow::Discard
        } else {
            Overflow::Overwrite
        }
    }

    /// Forgets what was recorded, and sets the count of lost entries to zero.
    pub fn clear(&self) {
        self.rings().iter().for_each(|ring| ring.clear());
    }

    /// Counts the entries that were lost since the buffer was last cleared: overwritten, or
    /// discarded.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rings().iter().map(|ring| ring.lost()).sum()
    }

    /// Makes sure that there is a buffer.
    pub(crate) fn prepare(&self) -> Result<(), TpError> {
        if self.size() == 0 {
            self.resize(Self::DEFAULT_SIZE)
        } else {
            Ok(())
        }
    }

    /// Records a firing.
    pub(crate) fn record(&self, hit: &TraceHit<'_>) {
        if let Some(ring) = self.rings().get(hit.guard.cpu().index()) {
            ring.push(hit.time_ns, hit.record, self.overflow());
        }
    }

    /// Returns the rings in use, one for each CPU.
    fn rings(&self) -> &[Padded<Ring>] {
        let set = self.sets.get(self.current.load(Ordering::Acquire));
        set.and_then(Once::get).map_or(&[], |rings| rings)
    }
}

/// Makes a ring of so many bytes for each CPU.
fn rings(bytes: usize) -> Result<Box<[Padded<Ring>]>, TpError> {
    let cpus = axebpf_hit::platform()
        .ok_or(TpError::NotInstalled)?
        .cpu_limit();
    let ring = |_| Ring::new(bytes / 8).map(Padded::new);
    (0..cpus)
        .map(ring)
        .collect::<Result<Vec<_>, _>>()
        .map(Vec::into_boxed_slice)
}
