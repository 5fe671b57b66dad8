//! Whether anything is to be done at exits and entries, which most of the time is not.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use axebpf_platform::GuestPhys;

/// There are pages that are not the guest's alone, or vCPUs that have not been in the guest since there were.
const ACTIVE: u8 = 1;
/// The last such page was given back.
const DRAINING: u8 = 1 << 1;
/// Somebody wants to know how vCPUs translate addresses.
const OBSERVING: u8 = 1 << 2;

/// Why exits and entries are looked at. One load says that they need not be.
pub(super) struct Attention(AtomicU8);

impl Attention {
    /// Observes, and nothing else.
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(OBSERVING))
    }

    /// Tells whether anything is to be done at an entry.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Tells whether an exit may be because of a page that is not the guest's alone.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.has(ACTIVE)
    }

    /// Says that there is about to be a page that is not the guest's alone. The caller holds the management lock.
    pub(super) fn activate(&self) {
        self.0.fetch_or(ACTIVE, Ordering::SeqCst);
        self.0.fetch_and(!DRAINING, Ordering::SeqCst);
    }

    /// Says that there is no such page any more. The caller holds the management lock.
    pub(super) fn drain(&self) {
        self.0.fetch_or(DRAINING, Ordering::AcqRel);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.has(DRAINING)
    }

    /// Says that each vCPU has entered the guest since [`drain`](Self::drain). The caller has held the management lock
    /// since before it has found that out.
    pub(super) fn settle(&self) {
        self.0.fetch_and(!(ACTIVE | DRAINING), Ordering::AcqRel);
    }

    /// Asks for an observation.
    pub(super) fn observe(&self) {
        self.0.fetch_or(OBSERVING, Ordering::AcqRel);
    }

    /// Says that there is no need for another observation.
    pub(super) fn has_observed(&self) {
        self.0.fetch_and(!OBSERVING, Ordering::AcqRel);
    }

    pub(super) fn is_observing(&self) -> bool {
        self.has(OBSERVING)
    }

    fn has(&self, bit: u8) -> bool {
        self.0.load(Ordering::Acquire) & bit != 0
    }
}

/// The largest block of stage 2 that a change of one page may have to split.
const BLOCK: u64 = 1 << 30;

/// The part of the guest's memory where the mapping of a page, or of a block around it, was changed. What faults
/// elsewhere, as devices do all the time, does so for other reasons.
pub(super) struct Extent {
    start: AtomicU64,
    end: AtomicU64,
}

impl Extent {
    pub(super) const fn empty() -> Self {
        Self {
            start: AtomicU64::new(u64::MAX),
            end: AtomicU64::new(0),
        }
    }

    /// Adds the page at `page`. Called before its mapping is changed.
    pub(super) fn add(&self, page: GuestPhys) {
        let start = page.get() & !(BLOCK - 1);
        self.start.fetch_min(start, Ordering::AcqRel);
        self.end
            .fetch_max(start.saturating_add(BLOCK), Ordering::AcqRel);
    }

    /// Forgets all pages. No vCPU can come from one any more.
    pub(super) fn clear(&self) {
        self.start.store(u64::MAX, Ordering::Release);
        self.end.store(0, Ordering::Release);
    }

    #[inline]
    pub(super) fn contains(&self, at: GuestPhys) -> bool {
        self.start.load(Ordering::Acquire) <= at.get()
            && at.get() < self.end.load(Ordering::Acquire)
    }
}
