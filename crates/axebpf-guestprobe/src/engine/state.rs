//! What management knows.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use axebpf_platform::{GuestPhys, GuestVirt};

use super::page::Page;
use super::point::{Armed, GuestLinkId, Link, Point, Subscribed};

/// What management knows.
#[derive(Default)]
pub(super) struct State {
    pub(super) next_link: u64,
    pub(super) links: BTreeMap<GuestLinkId, Arc<Link>>,
    pub(super) points: BTreeMap<GuestVirt, Subscribed>,
    pub(super) pages: BTreeMap<GuestPhys, Arc<Page>>,
}

impl State {
    /// Returns the points.
    pub(super) fn armed_points(&self) -> impl Iterator<Item = &Point> {
        self.points.values().map(|subscribed| &*subscribed.point)
    }

    /// Returns the pages that are not the guest's alone.
    pub(super) fn prepared_pages(&self) -> impl Iterator<Item = &Page> {
        self.pages.values().map(|page| &**page)
    }

    /// Returns what hits are to read.
    pub(super) fn armed(&self) -> Armed {
        Armed {
            points: self.points.values().cloned().collect(),
            pages: self.pages.values().cloned().collect(),
            returns: self
                .links
                .values()
                .filter(|link| link.returns.is_some())
                .cloned()
                .collect(),
        }
    }
}
