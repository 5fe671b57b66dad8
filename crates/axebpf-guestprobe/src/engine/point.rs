//! Places that trap, and who wants to know of it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use axebpf_a64::Refusal;
use axebpf_platform::{GuestPhys, GuestVirt};

use super::page::{PAGE_SIZE, Page};
use super::sorted::Sorted;
use crate::displace::{self, Way};
use crate::{GuestProbe, GuestProbeHandler, ProbeKind, ProbeMode};

/// Names one attachment of a handler. Numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestLinkId(pub(super) u64);

impl GuestLinkId {
    /// Returns the number, which starts at 1.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What has happened at a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestCounts {
    /// Executions of the probed instruction that were begun; for returns, returns that were seen.
    pub hits: u64,
    /// Executions that were completed. An instruction that faults and is tried again is hit twice and retired once.
    /// What a vCPU is left alone with because its guest debugs itself is not known to be.
    pub retired: u64,
    /// What was not seen: hits for which the handler could not run, and calls whose return was not armed, for which
    /// there was no room, or which were found to be over without their return having been seen.
    pub missed: u64,
}

/// Counts without a lock.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) retired: AtomicU64,
    pub(super) missed: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> GuestCounts {
        GuestCounts {
            hits: self.hits.load(Ordering::Relaxed),
            retired: self.retired.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One attachment.
pub(super) struct Link {
    pub(super) id: GuestLinkId,
    pub(super) probe: GuestProbe,
    pub(super) handler: Arc<dyn GuestProbeHandler>,
    pub(super) counters: Counters,
}

impl Link {
    /// Tells whether it is for returns.
    pub(super) fn is_return(&self) -> bool {
        self.probe.kind() == ProbeKind::Return
    }
}

/// An instruction that traps.
pub(super) struct Point {
    pub(super) at: GuestVirt,
    pub(super) phys: GuestPhys,
    pub(super) page: Arc<Page>,
    /// The instruction that is displaced, as the guest has it.
    word: AtomicU32,
    /// Whether the trapping instruction is there. Changed under the text lock.
    armed: AtomicBool,
}

impl Point {
    pub(super) fn new(at: GuestVirt, phys: GuestPhys, page: Arc<Page>, word: u32) -> Self {
        Self {
            at,
            phys,
            page,
            word: AtomicU32::new(word),
            armed: AtomicBool::new(false),
        }
    }

    /// Returns the displaced instruction.
    pub(super) fn word(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    pub(super) fn set_word(&self, word: u32) {
        self.word.store(word, Ordering::Release);
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    /// Tells whether it is armed, and makes who executes it trap in the way of `mode`: the others are the guest's own.
    pub(super) fn traps_by(&self, mode: ProbeMode) -> bool {
        let own = match self.page.mode {
            ProbeMode::HiddenBrk => ProbeMode::Brk,
            own => own,
        };
        self.is_armed() && own == mode
    }

    pub(super) fn set_armed(&self, is_armed: bool) {
        self.armed.store(is_armed, Ordering::Release);
    }

    /// Returns where the instruction is within its page.
    pub(super) fn offset(&self) -> u32 {
        (self.phys.get() & 0xfff) as u32
    }
}

/// An instruction, and how it is executed.
#[derive(Clone, Copy)]
pub(super) struct Decoded {
    word: u32,
    way: Result<Way, Refusal>,
}

impl Decoded {
    pub(super) fn of(word: u32) -> Self {
        let way = displace::way(word);
        Self { word, way }
    }
}

/// A point with its links: what a hit needs.
#[derive(Clone)]
pub(super) struct Subscribed {
    pub(super) point: Arc<Point>,
    /// The instruction that was displaced first, so that hits need not find out how it is executed.
    pub(super) decoded: Decoded,
    /// Those that want to know of the instruction itself, and of calls of the function that starts here.
    pub(super) links: Vec<Arc<Link>>,
    /// Whether calls may return to here.
    pub(super) is_return_site: bool,
}

impl Subscribed {
    /// Returns how the displaced instruction can be executed.
    pub(super) fn way(&self) -> Result<Way, Refusal> {
        match self.point.word() {
            word if word == self.decoded.word => self.decoded.way,
            // The guest has replaced it.
            word => displace::way(word),
        }
    }

    /// Returns the youngest of the links.
    pub(super) fn last_link(&self) -> Option<GuestLinkId> {
        self.links.iter().map(|link| link.id).max()
    }
}

/// What hits and exits read: all that is armed.
#[derive(Clone, Default)]
pub(super) struct Armed {
    pub(super) points: Sorted<GuestVirt, Arc<Subscribed>>,
    /// The virtual address of the point at a place in the guest's physical memory.
    pub(super) places: Sorted<GuestPhys, GuestVirt>,
    pub(super) pages: Sorted<GuestPhys, Arc<Page>>,
    /// The links for returns.
    pub(super) returns: Sorted<GuestLinkId, Arc<Link>>,
}

impl Armed {
    /// Finds the point at `at`.
    pub(super) fn point(&self, at: GuestVirt) -> Option<&Subscribed> {
        self.points.get(at).map(|subscribed| &**subscribed)
    }

    /// Finds the point that is at `at` in the guest's physical memory.
    pub(super) fn point_at(&self, at: GuestPhys) -> Option<&Subscribed> {
        self.point(*self.places.get(at)?)
    }

    /// Finds the page that starts at `page`.
    pub(super) fn page(&self, page: GuestPhys) -> Option<&Arc<Page>> {
        self.pages.get(page)
    }

    /// Returns the points in the page at `page`.
    pub(super) fn points_in(&self, page: GuestPhys) -> impl Iterator<Item = &Point> + Clone {
        self.points_between(page..GuestPhys::new(page.get().saturating_add(PAGE_SIZE)))
    }

    /// Returns the points in a range of the guest's physical memory.
    pub(super) fn points_between(
        &self,
        range: Range<GuestPhys>,
    ) -> impl Iterator<Item = &Point> + Clone {
        let subscribed = self
            .places
            .range(range)
            .filter_map(|(_, at)| self.point(*at));
        subscribed.map(|subscribed| &*subscribed.point)
    }

    /// Counts a call of which the return is not seen.
    pub(super) fn missed(&self, link: GuestLinkId) {
        if let Some(link) = self.returns.get(link) {
            count(&link.counters.missed);
        }
    }
}
