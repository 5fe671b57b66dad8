//! Attaching and detaching.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use axebpf_a64::exclusive_sequence;
use axebpf_platform::{GuestPhys, GuestVirt};

use super::guest::ProbedGuest;
use super::page::{Page, page_of};
use super::point::{Counters, GuestCounts, GuestLinkId, Link, Point, Subscribed};
use super::returns::Returns;
use super::state::State;
use crate::displace::{self, Way, is_landing_pad};
use crate::{Access, GuestProbe, GuestProbeError, GuestProbeHandler, ProbeKind, ProbeMode, Stage1};

/// How far before and behind a place exclusives are looked for, in instructions.
const REACH: u64 = 64;

/// An instruction that is to trap.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: GuestVirt,
    pub(super) phys: GuestPhys,
    pub(super) word: u32,
    pub(super) mode: ProbeMode,
}

impl ProbedGuest {
    /// Attaches `handler` to `probe` in a guest that translates addresses with `stage1`; see
    /// [`stage1()`](Self::stage1).
    ///
    /// When it returns, executions that begin are hits. A place may have any number of links; all probes in one 4 KiB
    /// page have one mode.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] says why the place cannot be probed, or not in this mode. Nothing has changed then.
    pub fn attach(
        &self,
        stage1: &Stage1,
        probe: &GuestProbe,
        handler: Arc<dyn GuestProbeHandler>,
    ) -> Result<GuestLinkId, GuestProbeError> {
        if probe.vm() != self.machine.vm() {
            return Err(GuestProbeError::OtherVm { vm: probe.vm() });
        }
        if axebpf_hit::platform().is_none() {
            // A trap could not become a hit then.
            return Err(GuestProbeError::NotInstalled);
        }
        self.capabilities.mode(probe.mode())?;
        let mut state = self.state.lock();
        let place = self.place_of(&state, stage1, probe)?;
        let id = GuestLinkId(state.next_link + 1);
        state.next_link = id.0;
        let link = Arc::new(Link {
            id,
            probe: *probe,
            handler,
            counters: Counters::default(),
            returns: match probe.kind() {
                ProbeKind::Entry => None,
                ProbeKind::Return => Some(Returns::new(probe.max_active().into())),
            },
        });
        state.links.insert(id, link.clone());
        let result = self.add(&mut state, place, Some(link));
        if result.is_err() {
            state.links.remove(&id);
        }
        result.map(|()| id)
    }

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
        let word = match state.points.get(&at) {
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
        let (first, last) = (here.saturating_sub(REACH), (here + REACH).min(1023));
        let word_of = |index: u64| {
            let at = GuestPhys::new(page + 4 * index);
            let known = state.points.values().find(|known| known.point.phys == at);
            let mut bytes = [0; 4];
            match known {
                Some(known) => known.point.word(),
                None if index == here => place.word,
                // What cannot be read is no instruction, where a sequence ends.
                None => match self.machine.read_guest(at, &mut bytes) {
                    Ok(()) => u32::from_le_bytes(bytes),
                    Err(_) => 0,
                },
            }
        };
        (
            (first..=last).map(word_of).collect(),
            (here - first) as usize,
        )
    }

    /// Adds `link`, or a return site, at `place`.
    pub(super) fn add(
        &self,
        state: &mut State,
        place: Place,
        link: Option<Arc<Link>>,
    ) -> Result<(), GuestProbeError> {
        if let Some(known) = state.points.get_mut(&place.at) {
            if known.point.page.mode != place.mode {
                return Err(GuestProbeError::PageMode {
                    page: known.point.page.at,
                    mode: known.point.page.mode,
                });
            }
            match link {
                Some(link) => known.links.push(link),
                None => known.is_return_site = true,
            }
            return self.publish(state);
        }
        let page = self.page(state, place)?;
        let point = Arc::new(Point::new(place.at, place.phys, page, place.word));
        let subscribed = Subscribed {
            point: point.clone(),
            is_return_site: link.is_none(),
            links: link.into_iter().collect(),
        };
        state.points.insert(place.at, subscribed);
        // First what a trap looks for, then the trap.
        self.active.store(true, Ordering::Release);
        let result = self.publish(state).and_then(|()| {
            let _lock = self.text.lock();
            self.text_of().arm(&point, place.word)
        });
        if result.is_err() {
            self.remove_point(state, place.at)?;
        }
        result
    }

    /// Returns the page of `place`, prepared.
    fn page(&self, state: &mut State, place: Place) -> Result<Arc<Page>, GuestProbeError> {
        let at = page_of(place.phys);
        if let Some(page) = state.pages.get(&at) {
            if page.mode != place.mode {
                return Err(GuestProbeError::PageMode {
                    page: at,
                    mode: page.mode,
                });
            }
            return Ok(page.clone());
        }
        self.active.store(true, Ordering::Release);
        // A fault in the page must find it. Whoever faults before it can finds the lock taken, and tries again.
        let lock = self.text.lock();
        let page = Arc::new(self.text_of().prepare(at, place.mode)?);
        state.pages.insert(at, page.clone());
        let published = self.publish(state);
        drop(lock);
        if let Err(error) = published {
            self.release(state, &page)?;
            return Err(error);
        }
        Ok(page)
    }

    /// Gives a page back in which there are no points.
    fn release(&self, state: &mut State, page: &Page) -> Result<(), GuestProbeError> {
        {
            let _lock = self.text.lock();
            self.text_of().release(page)?;
        }
        state.pages.remove(&page.at);
        self.publish(state)
    }

    /// Makes hits see what management knows. When it returns, none sees anything older.
    fn publish(&self, state: &State) -> Result<(), GuestProbeError> {
        self.armed
            .publish(Some(Box::new(state.armed())))
            .reclaim()?;
        Ok(())
    }

    /// Removes the point at `at`, and its page if it was the last one.
    pub(super) fn remove_point(
        &self,
        state: &mut State,
        at: GuestVirt,
    ) -> Result<(), GuestProbeError> {
        let Some(subscribed) = state.points.get(&at).cloned() else {
            return Ok(());
        };
        let point = &*subscribed.point;
        {
            let _lock = self.text.lock();
            self.text_of().disarm(point)?;
        }
        // Nobody traps there any more; who has trapped already finds the point until here, and tries again from here
        // on.
        state.points.remove(&at);
        self.publish(state)?;
        let is_last = !state
            .points
            .values()
            .any(|other| other.point.page.at == point.page.at);
        if is_last {
            self.release(state, &point.page)?;
        }
        Ok(())
    }

    /// Detaches a link. When it returns, its handler does not run any more and will not, and what was patched for it
    /// alone is as it was.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError::NoLink`] if there is none, and whatever the hypervisor answers when text or mappings are
    /// changed. The handler is detached even then, but the instruction may still trap, without any other effect.
    pub fn detach(&self, id: GuestLinkId) -> Result<GuestCounts, GuestProbeError> {
        let mut state = self.state.lock();
        let link = state
            .links
            .remove(&id)
            .ok_or(GuestProbeError::NoLink { id })?;
        let at = link.probe.at();
        let mut is_unused = false;
        if let Some(subscribed) = state.points.get_mut(&at) {
            subscribed.links.retain(|other| other.id != id);
            is_unused = subscribed.links.is_empty() && !subscribed.is_return_site;
        }
        self.publish(&state)?;
        if is_unused {
            self.remove_point(&mut state, at)?;
        }
        if link.returns.is_some() && !state.links.values().any(|other| other.returns.is_some()) {
            self.remove_sites(&mut state)?;
        }
        Ok(link.counters.read())
    }

    /// Removes what is only there because calls return to it.
    fn remove_sites(&self, state: &mut State) -> Result<(), GuestProbeError> {
        while self.sites.next().is_some() {}
        let mut unused = Vec::new();
        for (at, subscribed) in &mut state.points {
            if subscribed.is_return_site && subscribed.links.is_empty() {
                unused.push(*at);
            } else {
                subscribed.is_return_site = false;
            }
        }
        unused
            .into_iter()
            .try_for_each(|at| self.remove_point(state, at))?;
        self.publish(state)
    }
}
