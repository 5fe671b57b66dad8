//! What a full table that forgets forgets next.
//!
//! An approximation of "least recently used" by a *clock*: each node has a mark, set when its key is looked up or
//! updated by a program, and a hand goes round over all nodes. A node that it finds marked loses the mark and stays for
//! another round; one without is taken out of its chain. Marks and hand are atomics that nobody waits for, and a lookup
//! writes only if the mark is not set, so entries in use stay in all caches. (Linux keeps two lists under a lock, and
//! rotates a part of them; both forget roughly what was not used for longest, and neither exactly.)
//!
//! The work is bounded: after [`LOOKS`] nodes the hand takes the next one whose chain nobody holds, marked or not, and
//! after as many again a hit gets [`Busy`](MapError::Busy). Nodes whose chain is held are passed over, never waited
//! for, and no lock is held meanwhile.

use alloc::vec::Vec;

use crate::MapError;
use crate::hash::table::Table;
use crate::storage::table;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Effort, Ordering, spin_loop};

/// How many nodes the hand looks at before it is content with a marked one.
#[cfg(not(loom))]
const LOOKS: u32 = 64;
#[cfg(loom)]
const LOOKS: u32 = 2;

#[derive(Debug)]
pub(crate) struct Clock {
    marks: Vec<AtomicBool>,
    hand: AtomicU32,
    evicted: AtomicU64,
}

impl Clock {
    pub(crate) fn new(capacity: usize) -> Result<Self, MapError> {
        Ok(Self {
            marks: table(capacity, || AtomicBool::new(false))?,
            hand: AtomicU32::new(0),
            evicted: AtomicU64::new(0),
        })
    }

    /// Marks `node` as in use.
    #[inline]
    fn mark(&self, node: u32) {
        let mark = &self.marks[node as usize];
        if !mark.load(Ordering::Relaxed) {
            mark.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the mark off `node`; tells whether it had one.
    pub(crate) fn forget(&self, node: u32) -> bool {
        let mark = &self.marks[node as usize];
        let marked = mark.load(Ordering::Relaxed);
        if marked {
            mark.store(false, Ordering::Relaxed);
        }
        marked
    }

    /// Moves the hand on and returns the node that it was at.
    fn advance(&self) -> u32 {
        self.hand.fetch_add(1, Ordering::Relaxed) % self.marks.len() as u32
    }
}

impl Table {
    /// Notes that `node` is in use.
    #[inline]
    pub(crate) fn touch(&self, node: u32) {
        if let Some(clock) = self.clock() {
            clock.mark(node);
        }
    }

    /// Returns how many entries made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.clock()
            .map_or(0, |clock| clock.evicted.load(Ordering::Relaxed))
    }

    /// Takes a node away from the entry that has it, for the caller alone. Called inside a hit guard, without a lock.
    pub(crate) fn evict(&self, effort: Effort) -> Result<u32, MapError> {
        let limit = self.capacity();
        let clock = self.clock().ok_or(MapError::Full { limit })?;
        loop {
            if let Some(node) = self.sweep(clock) {
                return Ok(node);
            }
            if effort != Effort::UntilFree {
                return Err(MapError::Busy);
            }
            spin_loop();
        }
    }

    fn sweep(&self, clock: &Clock) -> Option<u32> {
        for look in 0..2 * LOOKS {
            let node = clock.advance();
            if clock.forget(node) && look < LOOKS {
                continue;
            }
            if self.seize(node) {
                clock.evicted.fetch_add(1, Ordering::Relaxed);
                return Some(node);
            }
        }
        // Somebody may have deleted an entry meanwhile.
        self.take_free()
    }
}
