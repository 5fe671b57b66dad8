//! The places in a guest to which a runner is attached.

use alloc::{sync::Arc, vec::Vec};

use axebpf_guestprobe::{GuestCounts, GuestLinkId, GuestProbeError, LinkState, ProbedGuest};

use crate::{
    LeftOut,
    kprobe::{GuestError, Place, Places},
};

/// How many of the functions that are left out are remembered with their reasons.
const REASONS: usize = 16;

/// The places of one link.
pub(super) struct Attached {
    probes: Arc<ProbedGuest>,
    links: Vec<GuestLinkId>,
    left_out: usize,
    reasons: Vec<LeftOut>,
}

impl Attached {
    /// Attaches to all `places` with `attach`, or to none.
    pub(super) fn new(
        probes: &Arc<ProbedGuest>,
        places: Places,
        attach: impl Fn(&Place) -> Result<GuestLinkId, GuestProbeError>,
    ) -> Result<Self, GuestError> {
        let mut attached = Self {
            probes: Arc::clone(probes),
            links: Vec::new(),
            left_out: 0,
            reasons: Vec::new(),
        };
        let places = match places {
            Places::One(place) => {
                attached.links.push(attach(&place)?);
                return Ok(attached);
            }
            Places::Many(places) => places,
        };
        for place in places {
            match attach(&place) {
                Ok(link) => attached.links.push(link),
                Err(why) => attached.leave_out(place, why),
            }
        }
        match attached.reasons.first() {
            Some(first) if attached.links.is_empty() => Err(first.why.into()),
            _ => Ok(attached),
        }
    }

    fn leave_out(&mut self, place: Place, why: GuestProbeError) {
        self.left_out += 1;
        if self.reasons.len() < REASONS {
            let name = place.name;
            self.reasons.push(LeftOut { name, why });
        }
    }

    /// Takes the probes out of the guest, and returns what has happened at them. When this returns, no CPU runs a
    /// handler for them any more. Where text cannot be written, the others are tried all the same.
    pub(super) fn detach(&mut self, counts: &mut GuestCounts) -> Result<(), GuestError> {
        let mut result = Ok(());
        self.links.retain(|link| match self.probes.detach(*link) {
            Ok(last) => {
                *counts = add(*counts, last);
                false
            }
            // An attempt before this one has detached it.
            Err(GuestProbeError::NoLink { .. }) => false,
            Err(error) => {
                result = result.clone().and(Err(error.into()));
                true
            }
        });
        result
    }

    /// Returns what has happened at all places.
    pub(super) fn counts(&self) -> GuestCounts {
        let counts = self.links.iter().map(|link| self.probes.counts(*link));
        counts.flatten().fold(GuestCounts::default(), add)
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the first functions that are left out.
    pub(super) fn reasons(&self) -> &[LeftOut] {
        &self.reasons
    }

    /// Counts the places that are in a state such as `is_like` says.
    pub(super) fn count(&self, is_like: impl Fn(&LinkState) -> bool) -> usize {
        let states = self.links.iter().map(|link| self.probes.link_state(*link));
        states.flatten().filter(is_like).count()
    }
}

/// Adds what has happened in two places or at two times.
pub(super) fn add(a: GuestCounts, b: GuestCounts) -> GuestCounts {
    GuestCounts {
        hits: a.hits.saturating_add(b.hits),
        retired: a.retired.saturating_add(b.retired),
        missed: a.missed.saturating_add(b.missed),
    }
}
