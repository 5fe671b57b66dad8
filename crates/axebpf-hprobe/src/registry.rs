//! What a hit reads: which points there are, and who listens to them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_a64::{BranchTargets, Execution, PtRegs};
use axebpf_hit::Snapshot;

use crate::config::{SignFn, StoreFn};
use crate::returns::{LinkId, MaxActive};
use crate::slot::Slot;
use crate::{HprobeHandler, ProbeKind, ProbePoint};

/// The points that hits find. There is one for each image: probe points are code.
#[cfg(not(loom))]
pub(crate) static REGISTRY: Snapshot<Registry> = Snapshot::empty();
// Loom's atomics cannot be made at compile time.
#[cfg(loom)]
loom::lazy_static! {
    pub(crate) static ref REGISTRY: Snapshot<Registry> = Snapshot::empty();
}

/// All points, sorted by address. Immutable; an attach or a detach makes a new one.
pub(crate) struct Registry {
    /// The addresses of `points`, apart from them, so that a search touches few cache lines.
    pub(crate) addresses: Box<[u64]>,
    pub(crate) points: Box<[Point]>,
    /// The subscriptions of kind [`ProbeKind::Return`], sorted by their numbers.
    pub(crate) returns: Box<[Arc<Subscription>]>,
    pub(crate) branch_targets: BranchTargets,
    pub(crate) store: Option<StoreFn>,
    pub(crate) sign: Option<SignFn>,
}

/// One probed instruction.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) at: u64,
    /// The displaced instruction.
    pub(crate) word: u32,
    pub(crate) execution: Execution,
    pub(crate) slot: Option<Slot>,
    /// Who is told. Nobody, for a point whose instruction could not be put back.
    pub(crate) subscriptions: Arc<[Arc<Subscription>]>,
}

/// One link at one point.
pub(crate) struct Subscription<R = PtRegs> {
    /// Its number, which no other subscription ever has.
    pub(crate) id: LinkId,
    /// The link that it belongs to.
    pub(crate) link: LinkId,
    pub(crate) point: ProbePoint,
    pub(crate) handler: Arc<dyn HprobeHandler<R>>,
    /// Shared by the subscriptions of the link.
    pub(crate) active: Arc<MaxActive>,
    pub(crate) hits: AtomicU64,
    pub(crate) missed: AtomicU64,
}

impl Registry {
    /// Returns the point at `at`.
    pub(crate) fn find(&self, at: u64) -> Option<&Point> {
        let index = self.addresses.binary_search(&at).ok()?;
        self.points.get(index)
    }

    /// Returns the subscription to returns with number `id`, if it still exists.
    pub(crate) fn find_return(&self, id: LinkId) -> Option<&Subscription> {
        let index = self.returns.binary_search_by_key(&id, |sub| sub.id).ok()?;
        self.returns.get(index).map(|sub| &**sub)
    }
}

impl Point {
    /// Counts a firing that no handler sees.
    pub(crate) fn miss(&self) {
        self.subscriptions.iter().for_each(|sub| sub.miss());
    }
}

impl<R> Subscription<R> {
    pub(crate) fn is(&self, kind: ProbeKind) -> bool {
        self.point.kind() == kind
    }

    pub(crate) fn count(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

impl<R> fmt::Debug for Subscription<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("point", &self.point)
            .field("hits", &self.hits)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
