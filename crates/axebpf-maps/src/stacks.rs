//! Stack traces.
//!
//! # Protocol
//!
//! The number of a stack is made from a hash of its frames, so each number has one slot. Changing it needs the slot's
//! lock, which hits try for a bounded number of times; the management side waits for it inside its own hit guard, for
//! reading too, so the stacks that it sees are whole. To find out that a stack is there already, which is the usual
//! case, no lock is needed: the slot is compared between two looks at its sequence counter, and under the lock only if
//! that moved.
//!
//! Programs get numbers only: there is no pointer to a stack, so the arena that they see is empty.

use alloc::vec::Vec;

use axebpf_hit::HitGuard;
use bitflags::bitflags;

use crate::array::Array;
use crate::hash::hash_words;
use crate::map::Map;
use crate::storage::{Copies, Place, Values, table};
use crate::store::Store;
use crate::sync::{AtomicU64, Effort, Ordering, Sequence, TryLock};
use crate::value_source::ValueSource;
use crate::{MapError, MapSpec, Operation, limits};

bitflags! {
    /// What [`Map::stack_id`] does when the slot of a stack is taken: two of the flags of `bpf_get_stackid`.
    ///
    /// The others (how many frames to skip, whose stack) are the business of who collects the frames.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StackFlags: u64 {
        /// Take stacks with the same hash for the same (`BPF_F_FAST_STACK_CMP`).
        const FAST_STACK_CMP = 1 << 9;
        /// Replace another stack that is in the slot (`BPF_F_REUSE_STACKID`).
        const REUSE_STACKID = 1 << 10;
    }
}

/// The slot of a number.
#[derive(Debug)]
struct Bucket {
    lock: TryLock,
    sequence: Sequence,
    /// The hash of the frames in the lower half, the number of frames plus one in the upper half; 0 when there is none.
    label: AtomicU64,
}

impl Bucket {
    fn new() -> Self {
        Self {
            lock: TryLock::new(),
            sequence: Sequence::new(),
            label: AtomicU64::new(0),
        }
    }
}

/// Frames on their way into the map.
struct Frames<'a>(&'a [u64]);

impl ValueSource for Frames<'_> {
    fn byte_len(&self) -> usize {
        self.0.len() * 8
    }

    fn word(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
pub(crate) struct Stacks {
    buckets: Vec<Bucket>,
    values: Values,
    depth: usize,
    seed: u64,
}

impl Stacks {
    pub(crate) fn new(spec: &MapSpec, seed: u64) -> Result<Self, MapError> {
        let slots = spec.max_entries.next_power_of_two();
        let copies = Copies::Shared;
        let values = Values::bytes_for(spec.value_size, slots, copies);
        limits::check_total(values + u64::from(slots) * size_of::<Bucket>() as u64)?;
        Ok(Self {
            buckets: table(slots as usize, Bucket::new)?,
            values: Values::new(spec.value_size, slots, copies)?,
            depth: spec.value_size as usize / 8,
            seed,
        })
    }

    pub(crate) fn memory(&self) -> u64 {
        (self.values.byte_len() + self.buckets.len() * size_of::<Bucket>()) as u64
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn slots(&self) -> u32 {
        self.buckets.len() as u32
    }

    pub(crate) fn len(&self) -> u32 {
        (0..self.slots()).filter(|&id| self.is_taken(id)).count() as u32
    }

    fn is_taken(&self, id: u32) -> bool {
        let bucket = self.buckets.get(id as usize);
        bucket.is_some_and(|bucket| bucket.label.load(Ordering::Relaxed) != 0)
    }

    /// Tells whether the slot holds `frames`, or may as well, and whether it holds anything.
    fn compare(&self, id: u32, label: u64, frames: &Frames<'_>, flags: StackFlags) -> Match {
        let now = self.buckets[id as usize].label.load(Ordering::Relaxed);
        if now == 0 {
            return Match::Empty;
        }
        let same_hash = now as u32 == label as u32;
        let fast = flags.contains(StackFlags::FAST_STACK_CMP);
        if same_hash && (fast || (now == label && self.has_frames(id, frames))) {
            Match::Same
        } else {
            Match::Other
        }
    }

    fn has_frames(&self, id: u32, frames: &Frames<'_>) -> bool {
        let at = Place { copy: 0, slot: id };
        (0..frames.0.len()).all(|index| self.values.word(at, index) == frames.word(index))
    }

    pub(crate) fn id_of(
        &self,
        frames: &[u64],
        flags: StackFlags,
        effort: Effort,
    ) -> Result<u32, MapError> {
        let frames = Frames(&frames[..frames.len().min(self.depth)]);
        let hash = hash_words(self.seed, &frames) as u32;
        let label = (frames.0.len() as u64 + 1) << 32 | u64::from(hash);
        let id = hash & (self.slots() - 1);
        let bucket = &self.buckets[id as usize];
        if let Some(begun) = bucket.sequence.begin() {
            let found = self.compare(id, label, &frames, flags);
            if found == Match::Same && bucket.sequence.unchanged(begun) {
                return Ok(id);
            }
        }
        let _locked = bucket.lock.acquire(effort).ok_or(MapError::Busy)?;
        match self.compare(id, label, &frames, flags) {
            Match::Same => return Ok(id),
            Match::Other if !flags.contains(StackFlags::REUSE_STACKID) => {
                return Err(MapError::Exists);
            }
            Match::Other | Match::Empty => {}
        }
        bucket.sequence.write(|| {
            // The frames after the last are zero, as they are when Linux reads them out.
            self.values.write(Place { copy: 0, slot: id }, &frames, 0);
            bucket.label.store(label, Ordering::Relaxed);
        });
        Ok(id)
    }

    /// Copies the frames of the stack with the number `key` out; tells whether there is one. Called inside a hit guard.
    pub(crate) fn read(&self, key: &[u8], entry: &mut [u8]) -> Result<bool, MapError> {
        let id = Array::index(key)?;
        let Some(bucket) = self.buckets.get(id as usize) else {
            return Ok(false);
        };
        let locked = bucket.lock.acquire(Effort::UntilFree);
        let _locked = locked.ok_or(MapError::Busy)?;
        let taken = self.is_taken(id);
        if taken {
            self.values.read_entry(id, entry);
        }
        Ok(taken)
    }

    /// Empties the slot with the number `key`. Called inside a hit guard.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        let id = Array::index(key)?;
        let bucket = self.buckets.get(id as usize).ok_or(MapError::NotFound)?;
        let locked = bucket.lock.acquire(Effort::UntilFree);
        let _locked = locked.ok_or(MapError::Busy)?;
        if !self.is_taken(id) {
            return Err(MapError::NotFound);
        }
        bucket
            .sequence
            .write(|| bucket.label.store(0, Ordering::Relaxed));
        Ok(())
    }

    /// Copies the number in `slot` out; tells whether it is that of a stack.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> bool {
        key.copy_from_slice(&slot.to_ne_bytes());
        self.is_taken(slot)
    }

    /// Returns the slot after that of `key`, or the first one when there is no such stack, as in Linux.
    pub(crate) fn slot_after(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        match key {
            None => Ok(0),
            Some(key) => {
                let id = Array::index(key)?;
                Ok(if self.is_taken(id) { id + 1 } else { 0 })
            }
        }
    }
}

/// What a slot holds, compared with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Empty,
    Same,
    Other,
}

impl Map {
    /// Returns the number of a stack in a stack trace map, into which it is put unless it is there
    /// (`bpf_get_stackid`).
    ///
    /// Frames beyond the depth of the map are cut off. The number stays that of the stack until the slot is
    /// [removed](Self::remove), or reused for another.
    ///
    /// # Errors
    ///
    /// [`Exists`](MapError::Exists) when another stack has the slot, unless `flags` say to replace it;
    /// [`Unsupported`](MapError::Unsupported) for other kinds; [`Busy`](MapError::Busy).
    pub fn stack_id(
        &self,
        _guard: &HitGuard,
        frames: &[u64],
        flags: StackFlags,
    ) -> Result<u32, MapError> {
        match &self.store {
            Store::Stacks(stacks) => self.counted(stacks.id_of(frames, flags, Effort::Bounded)),
            _ => Err(self.unsupported(Operation::Update)),
        }
    }
}
