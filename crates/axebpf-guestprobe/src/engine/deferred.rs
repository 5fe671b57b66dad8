//! What management does later, or again: return sites, and guests that are started anew.

use alloc::vec::Vec;

use super::guest::ProbedGuest;
use super::page::page_of;
use super::place::Place;
use super::point::count;
use super::sites::Site;
use super::state::{SITE_LIMIT, State};
use crate::{GuestProbeError, ProbeMode, Stage1};

impl ProbedGuest {
    /// Takes all traps out of the guest and gives its pages back, and keeps the links.
    ///
    /// Called in management before the guest is started anew, while none of its vCPUs runs; call
    /// [`reset_vcpu`](Self::reset_vcpu) for each, too. The links see nothing until [`arm_all`](Self::arm_all), and can
    /// be detached. What vCPUs have shown of the guest ([`stage`](Self::stage), [`stage1()`](Self::stage1)) is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] if the hypervisor cannot change text or mappings. What could not be taken out is still
    /// there.
    pub fn disarm_all(&self) -> Result<(), GuestProbeError> {
        let mut state = self.state.lock();
        self.forget_system();
        while self.sites.next().is_some() {}
        self.calls.clear();
        self.calls.make_room(state.calls);
        state.refused.clear();
        let points: Vec<_> = state.armed.points.iter().map(|(at, _)| *at).collect();
        points
            .into_iter()
            .try_for_each(|at| self.remove_point(&mut state, at))
    }

    /// Arms the links whose place has no trap, in a guest that translates addresses with `stage1`, and returns how
    /// many.
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
                let known = state.armed.point(link.probe.at());
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
    /// Called in management, again and again for as long as there are probes on returns: once every few milliseconds.
    /// Calls that return to a site before it is armed count as missed.
    ///
    /// # Errors
    ///
    /// [`GuestProbeError`] for the first site that could not be armed. The others are tried at the next call. A site
    /// that can never be armed is named once; the calls that return to it are missed.
    pub fn run_deferred(&self) -> Result<usize, GuestProbeError> {
        let mut armed = 0;
        while let Some(site) = self.sites.next() {
            let mut state = self.state.lock();
            let known = state.armed.point(site.at);
            let is_known = known.is_some_and(|known| known.is_return_site);
            // The links may be gone.
            if is_known || state.armed.returns.is_empty() || state.is_refused(site.at) {
                continue;
            }
            if let Err(error) = self.add_site(&mut state, site) {
                count(&self.statistics.errors);
                if !matches!(error, GuestProbeError::Changed { .. }) {
                    state.refused.insert(site.at);
                }
                return Err(error);
            }
            armed += 1;
        }
        Ok(armed)
    }

    /// Returns the mode of return sites of links of `mode`.
    ///
    /// What returns from a page of the mode of stage-2 faults to another one is not seen, and a caller that is in such
    /// a page hides the calls that it makes to functions in others.
    fn mode_of_sites(&self, mode: ProbeMode) -> ProbeMode {
        let hidden = ProbeMode::HiddenBrk;
        if mode == ProbeMode::Stage2Fault && self.capabilities.mode(hidden).is_ok() {
            hidden
        } else {
            mode
        }
    }

    /// Arms a return site.
    fn add_site(&self, state: &mut State, site: Site) -> Result<(), GuestProbeError> {
        if state.sites >= SITE_LIMIT {
            return Err(GuestProbeError::TooManySites { limit: SITE_LIMIT });
        }
        let Site { at, phys, mode } = site;
        // A site lies in another function, whose page may have a mode already.
        let page = state.armed.page(page_of(phys));
        let mode = page.map_or(self.mode_of_sites(mode), |page| page.mode);
        let word = match state.armed.point(at) {
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
