//! What management knows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use axebpf_platform::GuestVirt;

use super::page::Page;
use super::point::{Armed, GuestLinkId, Link, Point};

/// How many return sites a guest can have. What it calls from, and where it says that it returns to, is its own
/// choice, and each takes memory of the hypervisor's.
pub(super) const SITE_LIMIT: usize = 4096;

/// What management knows.
#[derive(Default)]
pub(super) struct State {
    pub(super) next_link: u64,
    pub(super) links: BTreeMap<GuestLinkId, Arc<Link>>,
    /// What is published for hits, or will be next.
    pub(super) armed: Armed,
    /// How many points are return sites.
    pub(super) sites: usize,
    /// Return sites that cannot be armed, as many as there can be sites.
    pub(super) refused: BTreeSet<GuestVirt>,
    /// How many calls the links for returns want to be remembered.
    pub(super) calls: usize,
}

impl State {
    /// Tells whether a return site is not tried again.
    pub(super) fn is_refused(&self, site: GuestVirt) -> bool {
        self.refused.len() >= SITE_LIMIT || self.refused.contains(&site)
    }

    /// Returns the points.
    pub(super) fn armed_points(&self) -> impl Iterator<Item = &Point> {
        self.armed
            .points
            .values()
            .map(|subscribed| &*subscribed.point)
    }

    /// Returns the pages that are not the guest's alone.
    pub(super) fn prepared_pages(&self) -> impl Iterator<Item = &Page> {
        self.armed.pages.values().map(|page| &**page)
    }
}
