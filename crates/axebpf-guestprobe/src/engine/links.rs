//! What there is to know about links.

use alloc::vec::Vec;

use axebpf_a64::Refusal;

use super::guest::ProbedGuest;
use super::page::trap_word;
use super::point::{GuestCounts, GuestLinkId, Point};
use crate::{GuestProbeError, ProbeMode, displace};

/// Whether a link sees anything at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// The probed instruction traps.
    Armed,
    /// The guest is writing the page of the instruction, or has put an instruction there that cannot be displaced. It
    /// is armed again as soon as the guest executes something from the page and this is over.
    Suspended {
        /// The instruction that is there, as far as it is known.
        word: u32,
        /// Why it cannot be displaced, if that is the reason.
        why: Option<Refusal>,
    },
}

impl ProbedGuest {
    /// Returns the numbers of all links, in the order in which they were attached.
    #[must_use]
    pub fn links(&self) -> Vec<GuestLinkId> {
        self.state.lock().links.keys().copied().collect()
    }

    /// Returns what has happened at a link.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError::NoLink`] if there is none.
    pub fn counts(&self, id: GuestLinkId) -> Result<GuestCounts, GuestProbeError> {
        let state = self.state.lock();
        let link = state.links.get(&id).ok_or(GuestProbeError::NoLink { id })?;
        Ok(link.counters.read())
    }

    /// Tells whether a link sees anything at present.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError::NoLink`] if there is none.
    pub fn link_state(&self, id: GuestLinkId) -> Result<LinkState, GuestProbeError> {
        let state = self.state.lock();
        let link = state.links.get(&id).ok_or(GuestProbeError::NoLink { id })?;
        let point = state.points.get(&link.probe.at());
        Ok(match point {
            Some(subscribed) if subscribed.point.is_armed() && self.is_there(&subscribed.point) => {
                LinkState::Armed
            }
            Some(subscribed) => {
                let word = subscribed.point.word();
                LinkState::Suspended {
                    word,
                    why: displace::way(word).err(),
                }
            }
            None => LinkState::Suspended { word: 0, why: None },
        })
    }

    /// Tells whether a trap in the guest's own memory is still there.
    fn is_there(&self, point: &Point) -> bool {
        let mode = point.page.mode;
        if !matches!(mode, ProbeMode::Brk | ProbeMode::Hvc) {
            return true;
        }
        let mut bytes = [0; 4];
        self.machine.read_guest(point.phys, &mut bytes).is_ok()
            && u32::from_le_bytes(bytes) == trap_word(mode)
    }
}
