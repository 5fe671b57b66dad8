//! Attaching and detaching.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use axebpf_a64::{Refusal, exclusive_sequence};
use axebpf_platform::{GuestPhys, GuestVirt};

use super::guest::ProbedGuest;
use super::page::{Page, page_of};
use super::point::{Armed, Counters, GuestCounts, GuestLinkId, Link, Point, Subscribed, count};
use super::returns::Returns;
use super::sites::Site;
use crate::displace::{self, Way, is_landing_pad};
use crate::{Access, GuestProbe, GuestProbeError, GuestProbeHandler, ProbeKind, ProbeMode, Stage1};

/// How far before and behind a place exclusives are looked for, in instructions.
const REACH: u64 = 64;

/// What management knows.
#[derive(Default)]
pub(super) struct State {
    next_link: u64,
    links: BTreeMap<GuestLinkId, Arc<Link>>,
    points: BTreeMap<GuestVirt, Subscribed>,
    pages: BTreeMap<GuestPhys, Arc<Page>>,
}

/// Whether a link sees anything at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// The probed instruction traps.
    Armed,
    /// The guest is writing the page of the instruction, or has put an instruction there that cannot be displaced. It is
    /// armed again as soon as the guest executes something from the page and this is over.
    Suspended {
        /// The instruction that is there, as far as it is known.
        word: u32,
        /// Why it cannot be displaced, if that is the reason.
        why: Option<Refusal>,
    },
}

/// An instruction that is to trap.
#[derive(Clone, Copy)]
struct Place {
    at: GuestVirt,
    phys: GuestPhys,
    word: u32,
    mode: ProbeMode,
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
    fn armed(&self) -> Armed {
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

impl ProbedGuest {
    /// Attaches `handler` to `probe` in a guest that translates addresses with `stage1`; see
    /// [`stage1()`](Self::stage1).
    ///
    /// When it returns, executions that begin are hits. A place may have any number of links; all probes in one 4 KiB page
    /// have one mode.
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
    fn place_of(
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
    fn check(&self, state: &State, place: Place) -> Result<(), GuestProbeError> {
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
    fn add(
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
    fn remove_point(&self, state: &mut State, at: GuestVirt) -> Result<(), GuestProbeError> {
        let Some(subscribed) = state.points.get(&at).cloned() else {
            return Ok(());
        };
        let point = &*subscribed.point;
        {
            let _lock = self.text.lock();
            self.text_of().disarm(point)?;
        }
        // Nobody traps there any more; who has trapped already finds the point until here, and tries again from here on.
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

    /// Detaches a link. When it returns, its handler does not run any more and will not, and what was patched for it alone is
    /// as it was.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError::NoLink`] if there is none, and whatever the hypervisor answers when text or mappings are changed. The
    /// handler is detached even then, but the instruction may still trap, without any other effect.
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
            && u32::from_le_bytes(bytes) == super::page::trap_word(mode)
    }

    /// Takes all traps out of the guest and gives its pages back, and keeps the links.
    ///
    /// Called in management before the guest is started anew, while none of its vCPUs runs; call [`reset_vcpu`](Self::reset_vcpu) for
    /// each, too. The links see nothing until [`arm_all`](Self::arm_all).
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] if the hypervisor cannot change text or mappings. What could not be taken out is still there.
    pub fn disarm_all(&self) -> Result<(), GuestProbeError> {
        let mut state = self.state.lock();
        while self.sites.next().is_some() {}
        let places: Vec<_> = state.points.keys().copied().collect();
        places
            .into_iter()
            .try_for_each(|at| self.remove_point(&mut state, at))
    }

    /// Arms the links whose place has no trap, in a guest that translates addresses with `stage1`, and returns how many.
    ///
    /// For a guest that has been started anew, and whose kernel is where it was.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] for the first link that cannot be armed. It and those behind it see nothing; try again.
    pub fn arm_all(&self, stage1: &Stage1) -> Result<usize, GuestProbeError> {
        let mut state = self.state.lock();
        let waiting: Vec<_> = state
            .links
            .values()
            .filter(|link| {
                let known = state.points.get(&link.probe.at());
                !known.is_some_and(|known| known.links.iter().any(|other| other.id == link.id))
            })
            .cloned()
            .collect();
        let count = waiting.len();
        for link in waiting {
            let place = self.place_of(&state, stage1, &link.probe)?;
            self.add(&mut state, place, Some(link))?;
        }
        Ok(count)
    }

    /// Tells whether [`run_deferred`](Self::run_deferred) has anything to do. May be called anywhere.
    #[must_use]
    pub fn has_deferred(&self) -> bool {
        !self.sites.is_empty()
    }

    /// Arms the return sites that hits have asked for since the last call, and returns how many.
    ///
    /// Called in management, again and again for as long as there are probes on returns: once every few milliseconds. Calls that
    /// return to a site before it is armed count as missed.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] for the first site that could not be armed. The others are tried at the next call; a site that
    /// cannot be armed is asked for again by the next call that would return to it.
    pub fn run_deferred(&self) -> Result<usize, GuestProbeError> {
        let mut armed = 0;
        while let Some(site) = self.sites.next() {
            let mut state = self.state.lock();
            // The link may be gone.
            if !state.links.values().any(|link| link.returns.is_some()) {
                continue;
            }
            if let Err(error) = self.add_site(&mut state, site) {
                count(&self.statistics.errors);
                return Err(error);
            }
            armed += 1;
        }
        Ok(armed)
    }

    /// Arms a return site.
    fn add_site(&self, state: &mut State, site: Site) -> Result<(), GuestProbeError> {
        let Site { at, phys, mode } = site;
        let page = state.pages.get(&page_of(phys));
        // A site lies in another function, whose page may have a mode already.
        let mode = page.map_or(mode, |page| page.mode);
        let word = match state.points.get(&at) {
            Some(known) => known.point.word(),
            None => {
                let mut bytes = [0; 4];
                self.machine.read_guest(phys, &mut bytes)?;
                u32::from_le_bytes(bytes)
            }
        };
        let place = Place {
            at,
            phys,
            word,
            mode,
        };
        self.check(state, place)?;
        self.add(state, place, None)
    }
}
