//! Nodes: what the table keeps about each slot besides key and value.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// The end of a chain.
pub(crate) const NIL: u32 = u32::MAX;

const LIFE: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Node {
    next: AtomicU32,
    hash: AtomicU32,
    /// The upper half counts lives: odd while the node is in a chain. The lower half counts updates of the value: odd
    /// while one is going on.
    state: AtomicU64,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU32::new(NIL),
            hash: AtomicU32::new(0),
            state: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_next(&self, next: u32) {
        self.next.store(next, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn hash(&self) -> u32 {
        self.hash.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_hash(&self, hash: u32) {
        self.hash.store(hash, Ordering::Relaxed);
    }

    /// Starts or ends the life of the node. The caller alone may change it, by the bucket's lock.
    #[inline]
    pub(crate) fn turn_over(&self) {
        let now = self.state.load(Ordering::Relaxed);
        self.state
            .store((now & !(LIFE - 1)).wrapping_add(LIFE), Ordering::Release);
    }

    /// Runs `change` as one update of the value. The caller holds the bucket's lock.
    #[inline]
    pub(crate) fn update(&self, change: impl FnOnce()) {
        let now = self.state.load(Ordering::Relaxed);
        let lives = now & !(LIFE - 1);
        let version = now as u32;
        self.state.store(
            lives | u64::from(version.wrapping_add(1)),
            Ordering::Relaxed,
        );
        fence(Ordering::Release);
        change();
        self.state.store(
            lives | u64::from(version.wrapping_add(2)),
            Ordering::Release,
        );
    }

    /// Starts reading key or value.
    #[inline]
    pub(crate) fn observe(&self) -> Observed {
        Observed(self.state.load(Ordering::Acquire))
    }

    /// Tells whether the key that was read since `then` is that of one life.
    #[inline]
    pub(crate) fn lives_since(&self, then: Observed) -> bool {
        fence(Ordering::Acquire);
        self.state.load(Ordering::Relaxed) / LIFE == then.0 / LIFE
    }

    /// Tells whether the value that was read since `then` is whole.
    #[inline]
    pub(crate) fn unchanged_since(&self, then: Observed) -> bool {
        fence(Ordering::Acquire);
        self.state.load(Ordering::Relaxed) == then.0
    }
}

/// The state of a node at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed(u64);

impl Observed {
    /// Tells whether the node was in a chain.
    #[inline]
    pub(crate) fn is_live(self) -> bool {
        self.0 & LIFE != 0
    }

    /// Tells whether the node was in a chain and its value not being updated.
    #[inline]
    pub(crate) fn is_settled(self) -> bool {
        self.is_live() && self.0 & 1 == 0
    }
}
