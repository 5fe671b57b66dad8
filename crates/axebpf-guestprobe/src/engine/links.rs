//! What there is to know about links.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use axebpf_a64::Refusal;

use super::guest::ProbedGuest;
use super::page::{Page, trap_word};
use super::point::{GuestCounts, GuestLinkId, Point};
use crate::{GuestProbeError, ProbeMode};

/// Whether a link sees anything at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// The probed instruction traps.
    Armed,
    /// The probed instruction traps, and yet there are executions that are not seen.
    Partly {
        /// How many vCPUs run without probes at present, because the guest debugs itself there.
        debugging: u32,
        /// How often a vCPU has begun to run instructions of the page where points are not seen, for the mode that
        /// does that ([`ProbeMode::Stage2Fault`]): until it leaves such pages it is not known what it executes.
        windows: Option<u64>,
    },
    /// The guest is writing the page of the instruction, or has put an instruction there that cannot be displaced. It
    /// is armed again as soon as the guest executes something from the page and this is over.
    ///
    /// Or the instruction is what it was, and the guest has executed it in a way that could neither be simulated nor
    /// stepped: as a store to memory that is not cached, where the hypervisor has no steps, or into the page that it
    /// is in, where traps are in plain sight. It was put back
    /// ([`GuestStatistics::withdrawn`](crate::GuestStatistics)), and nothing is seen until it is attached anew.
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
        let point = state.armed.point(link.probe.at());
        Ok(match point {
            Some(subscribed) if subscribed.point.is_armed() && self.is_there(&subscribed.point) => {
                self.seen_at(&subscribed.point.page)
            }
            Some(subscribed) => {
                let point = &subscribed.point;
                LinkState::Suspended {
                    word: point.word(),
                    why: self.text_of().refusal(point),
                }
            }
            None => LinkState::Suspended { word: 0, why: None },
        })
    }

    /// Tells how much is seen of points in `page`.
    fn seen_at(&self, page: &Page) -> LinkState {
        let debugging = self.suspended_now.load(Ordering::Relaxed);
        let is_window = page.mode == ProbeMode::Stage2Fault;
        let windows = is_window.then(|| page.windows.load(Ordering::Relaxed));
        if debugging == 0 && windows.is_none() {
            LinkState::Armed
        } else {
            LinkState::Partly { debugging, windows }
        }
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
