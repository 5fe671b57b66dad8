//! Where a probe can be.

use alloc::{vec, vec::Vec};

use axebpf_a64::{ExclusiveSequence, exclusive_sequence};
use axebpf_platform::{GuestPhys, GuestVirt};

use super::guest::ProbedGuest;
use super::page::{PAGE_SIZE, page_of};
use super::point::Point;
use super::state::State;
use crate::displace::{self, Way, is_landing_pad};
use crate::{Access, GuestProbe, GuestProbeError, ProbeMode, Stage1};

/// How far before and behind a place exclusives are looked for, in instructions.
pub(super) const REACH: u64 = 64;

/// An instruction that is to trap.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: GuestVirt,
    pub(super) phys: GuestPhys,
    pub(super) word: u32,
    pub(super) mode: ProbeMode,
}

impl Place {
    /// Checks that the point that is known at its virtual address is in the same place, and of its mode.
    pub(super) fn must_be(&self, known: &Point) -> Result<(), GuestProbeError> {
        if known.phys != self.phys {
            return Err(GuestProbeError::Changed { at: self.at });
        }
        if known.page.mode != self.mode {
            return Err(GuestProbeError::PageMode {
                page: known.page.at,
                mode: known.page.mode,
            });
        }
        Ok(())
    }
}

impl ProbedGuest {
    /// Finds the instruction of `probe`, and whether it can be displaced.
    pub(super) fn place_of(
        &self,
        state: &State,
        stage1: &Stage1,
        probe: &GuestProbe,
    ) -> Result<Place, GuestProbeError> {
        let (at, mode) = (probe.at(), probe.mode());
        let found = stage1.translate(&*self.machine, at, Access::Fetch)?;
        if !found.rights.privileged_execute() {
            return Err(GuestProbeError::NotExecutable { at });
        }
        // Where nothing is translated, there are no programs yet.
        if mode == ProbeMode::Hvc && stage1.is_enabled() && found.rights.user_execute() {
            return Err(GuestProbeError::ExecutableByPrograms { at });
        }
        let word = match state.armed.point(at) {
            // Where the guest's own memory is patched, the trap would be read.
            Some(known) => known.point.word(),
            None => {
                let mut bytes = [0; 4];
                self.machine.read_guest(found.at, &mut bytes)?;
                u32::from_le_bytes(bytes)
            }
        };
        let place = Place {
            at,
            phys: found.at,
            word,
            mode,
        };
        self.check(state, place)?;
        if mode == ProbeMode::Stage2Fault {
            self.check_borders(state, stage1, place)?;
        }
        Ok(place)
    }

    /// Checks that an instruction can be displaced in its mode.
    pub(super) fn check(&self, state: &State, place: Place) -> Result<(), GuestProbeError> {
        let Place { at, word, mode, .. } = place;
        let way = displace::way(word).map_err(|why| GuestProbeError::Refused { at, word, why })?;
        if way == Way::Step && !self.capabilities.can_step(mode) {
            return Err(GuestProbeError::NeedsStep { at, word, mode });
        }
        if mode == ProbeMode::Hvc && is_landing_pad(word) && self.machine.has_branch_targets() {
            return Err(GuestProbeError::LandingPad { at, word });
        }
        let (words, index) = self.words_around(state, place);
        match exclusive_sequence(&words, index) {
            Some(_) => Err(GuestProbeError::InExclusive { at, word }),
            None => Ok(()),
        }
    }

    /// Returns the instructions around `place` in its page, as the guest has them, and which of them it is.
    fn words_around(&self, state: &State, place: Place) -> (Vec<u32>, usize) {
        let page = page_of(place.phys).get();
        let here = (place.phys.get() - page) / 4;
        let (first, end) = (here.saturating_sub(REACH), (here + REACH + 1).min(1024));
        let from = GuestPhys::new(page + 4 * first);
        let mut words = self.words(state, from, (end - first) as usize);
        let index = (here - first) as usize;
        words[index] = place.word;
        (words, index)
    }

    /// Returns `count` instructions from `from` on, in one page, as the guest has them.
    fn words(&self, state: &State, from: GuestPhys, count: usize) -> Vec<u32> {
        let mut bytes = vec![0; 4 * count];
        if self.machine.read_guest(from, &mut bytes).is_err() {
            // What cannot be read is no instruction, where a sequence ends.
            bytes.fill(0);
        }
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let mut words: Vec<u32> = bytes.chunks_exact(4).map(word).collect();
        let end = GuestPhys::new(from.get() + 4 * count as u64);
        for point in state.armed.points_between(from..end) {
            // The guest's own memory may be patched there.
            words[((point.phys.get() - from.get()) / 4) as usize] = point.word();
        }
        words
    }

    /// Checks that no sequence of exclusives goes over the borders of the page of `place`, which vCPUs cannot cross
    /// without leaving the guest.
    fn check_borders(
        &self,
        state: &State,
        stage1: &Stage1,
        place: Place,
    ) -> Result<(), GuestProbeError> {
        let page = place.at.get() & !(PAGE_SIZE - 1);
        for border in [page, page.wrapping_add(PAGE_SIZE)] {
            // Half of the words are behind the border, and half before it, which another place need not be in.
            let half = |at: u64| {
                let found = stage1.translate(&*self.machine, GuestVirt::new(at), Access::Fetch);
                found
                    .ok()
                    .map(|found| self.words(state, found.at, REACH as usize))
            };
            let before = half(border.wrapping_sub(4 * REACH));
            let Some((mut words, behind)) = before.zip(half(border)) else {
                continue;
            };
            words.extend(behind);
            let middle = REACH as usize;
            let crosses =
                |sequence: ExclusiveSequence| (sequence.load < middle) != (sequence.store < middle);
            for index in [middle - 1, middle] {
                if exclusive_sequence(&words, index).is_some_and(crosses) {
                    let first = border.wrapping_sub(4 * REACH);
                    return Err(GuestProbeError::InExclusive {
                        at: GuestVirt::new(first.wrapping_add(4 * index as u64)),
                        word: words[index],
                    });
                }
            }
        }
        Ok(())
    }
}
