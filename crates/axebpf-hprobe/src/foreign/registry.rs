//! What a hit reads: which points there are, and who listens to them.

use alloc::boxed::Box;
use alloc::sync::Arc;

use axebpf_hit::Snapshot;

use super::PtRegs;
use super::displace::Displaced;
use crate::returns::LinkId;
use crate::slot::Slot;

/// One link at one point.
pub(crate) type Subscription = crate::registry::Subscription<PtRegs>;

/// The points that hits find. There is one for each image: probe points are code.
pub(crate) static REGISTRY: Snapshot<Registry> = Snapshot::empty();

/// All points, sorted by address. Immutable; an attach or a detach makes a new one.
pub(crate) struct Registry {
    pub(crate) points: Box<[Point]>,
    /// The subscriptions to returns, sorted by their numbers.
    pub(crate) returns: Box<[Arc<Subscription>]>,
}

/// One probed instruction.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) at: u64,
    pub(crate) displaced: Displaced,
    pub(crate) slot: Slot,
    /// Who is told. Nobody, for a point whose instruction could not be put back.
    pub(crate) subscriptions: Arc<[Arc<Subscription>]>,
}

impl Registry {
    /// Returns the point at `at`.
    pub(crate) fn find(&self, at: u64) -> Option<&Point> {
        let index = self.points.binary_search_by_key(&at, |point| point.at);
        self.points.get(index.ok()?)
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
