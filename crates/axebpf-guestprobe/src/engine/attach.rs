//! Attaching and detaching.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use axebpf_platform::GuestVirt;

use super::guest::ProbedGuest;
use super::page::{Page, page_of};
use super::place::Place;
use super::point::{Counters, Decoded, GuestCounts, GuestLinkId, Link, Point, Subscribed};
use super::state::State;
use crate::{GuestProbe, GuestProbeError, GuestProbeHandler, ProbeMode, Stage1};

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
        });
        if link.is_return() {
            state.calls += usize::from(probe.max_active());
            self.calls.make_room(state.calls);
            state.armed.returns.insert(id, link.clone());
        }
        state.links.insert(id, link.clone());
        let result = self.add(&mut state, place, Some(link.clone()));
        if result.is_err() {
            self.forget(&mut state, &link);
        }
        result.map(|()| id)
    }

    /// Forgets a link. What is published may still have it.
    fn forget(&self, state: &mut State, link: &Link) {
        state.links.remove(&link.id);
        if link.is_return() {
            state.armed.returns.remove(link.id);
            state.calls -= usize::from(link.probe.max_active());
        }
    }

    /// Adds `link`, or a return site, at `place`.
    pub(super) fn add(
        &self,
        state: &mut State,
        place: Place,
        link: Option<Arc<Link>>,
    ) -> Result<(), GuestProbeError> {
        if state.armed.points.get(place.at).is_some() {
            return self.join(state, place, link);
        }
        if let Some(&known) = state.armed.places.get(place.phys) {
            return Err(GuestProbeError::Alias {
                at: place.at,
                known,
            });
        }
        let page = self.page(state, place)?;
        let point = Arc::new(Point::new(place.at, place.phys, page, place.word));
        let subscribed = Subscribed {
            point: point.clone(),
            decoded: Decoded::of(place.word),
            is_return_site: link.is_none(),
            links: link.into_iter().collect(),
        };
        state.sites += usize::from(subscribed.is_return_site);
        state.armed.points.insert(place.at, Arc::new(subscribed));
        state.armed.places.insert(place.phys, place.at);
        // First what a trap looks for, then the trap.
        let result = self.publish(state).and_then(|()| {
            let _lock = self.text.lock();
            self.text_of().arm(&point, place.word)
        });
        if result.is_err() {
            self.remove_point(state, place.at)?;
        }
        result
    }

    /// Adds `link`, or that calls return there, to the point that is at `place` already.
    fn join(
        &self,
        state: &mut State,
        place: Place,
        link: Option<Arc<Link>>,
    ) -> Result<(), GuestProbeError> {
        let Some(known) = state.armed.points.get_mut(place.at) else {
            return Ok(());
        };
        place.must_be(&known.point)?;
        let before = known.clone();
        let known = Arc::make_mut(known);
        known.is_return_site |= link.is_none();
        known.links.extend(link);
        let is_new_site = known.is_return_site != before.is_return_site;
        let published = self.publish(state);
        if published.is_ok() {
            state.sites += usize::from(is_new_site);
        } else {
            state.armed.points.insert(place.at, before);
        }
        published
    }

    /// Returns the page of `place`, prepared.
    fn page(&self, state: &mut State, place: Place) -> Result<Arc<Page>, GuestProbeError> {
        let at = page_of(place.phys);
        if let Some(page) = state.armed.page(at) {
            if page.mode != place.mode {
                return Err(GuestProbeError::PageMode {
                    page: at,
                    mode: page.mode,
                });
            }
            return Ok(page.clone());
        }
        self.extent.add(at);
        self.activate();
        // A fault in the page must find it. Whoever faults before it can finds the lock taken, and tries again.
        let lock = self.text.lock();
        // Before there are traps, so that no vCPU enters the guest in whose own debugging they would end.
        self.brk_pages
            .fetch_add(of_brk(place.mode), Ordering::AcqRel);
        let prepared = self.text_of().prepare(at, place.mode);
        let page = Arc::new(prepared.inspect_err(|_| {
            self.brk_pages
                .fetch_sub(of_brk(place.mode), Ordering::AcqRel);
            self.drain_if_unused(state);
        })?);
        state.armed.pages.insert(at, page.clone());
        let published = self.publish(state);
        drop(lock);
        if let Err(error) = published {
            self.release(state, &page)?;
            return Err(error);
        }
        Ok(page)
    }

    /// Gives a page back in which there are no points.
    fn release(&self, state: &mut State, page: &Arc<Page>) -> Result<(), GuestProbeError> {
        let _lock = self.text.lock();
        // Whoever has faulted in it must not open or close it once it is the guest's again.
        state.armed.pages.remove(page.at);
        let result = self
            .publish(state)
            .and_then(|()| Ok(self.text_of().release(page)?));
        if result.is_err() {
            state.armed.pages.insert(page.at, page.clone());
            self.publish(state)?;
        } else {
            self.brk_pages
                .fetch_sub(of_brk(page.mode), Ordering::AcqRel);
            self.drain_if_unused(state);
        }
        result
    }

    /// Has exits and entries looked at. When it returns, each vCPU that is in the guest has entered it since.
    fn activate(&self) {
        if self.attention.is_active() {
            return self.attention.activate();
        }
        {
            // Without a platform there are no hits, but there is one, or nothing would be attached.
            let _guard = axebpf_hit::enter().ok();
            for slot in &self.slots {
                slot.lock().changes_at_entry = None;
            }
        }
        self.attention.activate();
        if let Some(kick) = self.machine.kick_vcpus() {
            kick.kick_out();
        }
    }

    /// Lets exits be as cheap as before once no vCPU can come from a page that was not the guest's alone.
    fn drain_if_unused(&self, state: &State) {
        if state.armed.pages.is_empty() {
            self.attention.drain();
        }
    }

    /// Makes hits see what management knows. When it returns, none sees anything older.
    ///
    /// May be called with the text lock held, for which nobody waits in a hit.
    fn publish(&self, state: &State) -> Result<(), GuestProbeError> {
        self.armed
            .publish(Some(Box::new(state.armed.clone())))
            .reclaim()?;
        Ok(())
    }

    /// Removes the point at `at`, and its page if it was the last one.
    pub(super) fn remove_point(
        &self,
        state: &mut State,
        at: GuestVirt,
    ) -> Result<(), GuestProbeError> {
        let Some(subscribed) = state.armed.points.get(at).cloned() else {
            return Ok(());
        };
        let point = &*subscribed.point;
        {
            let _lock = self.text.lock();
            self.text_of().disarm(point)?;
            // Nobody traps there any more; who has trapped already finds the point until here, and tries again from
            // here on. Under the lock, because who closes the page arms what was published.
            state.armed.points.remove(at);
            state.armed.places.remove(point.phys);
            state.sites -= usize::from(subscribed.is_return_site);
            self.publish(state)?;
        }
        if state.armed.points_in(point.page.at).next().is_none() {
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
        let link = state.links.get(&id).cloned();
        let link = link.ok_or(GuestProbeError::NoLink { id })?;
        self.forget(&mut state, &link);
        let at = link.probe.at();
        let mut is_unused = false;
        if let Some(subscribed) = state.armed.points.get_mut(at) {
            let subscribed = Arc::make_mut(subscribed);
            subscribed.links.retain(|other| other.id != id);
            is_unused = subscribed.links.is_empty() && !subscribed.is_return_site;
        }
        self.publish(&state)?;
        if is_unused {
            self.remove_point(&mut state, at)?;
        }
        if link.is_return() {
            // Their returns are not seen any more.
            let pending = self.calls.forget(id);
            let missed = &link.counters.missed;
            missed.fetch_add(pending as u64, Ordering::Relaxed);
            if state.armed.returns.is_empty() {
                self.remove_sites(&mut state)?;
            }
        }
        Ok(link.counters.read())
    }

    /// Removes what is only there because calls return to it.
    fn remove_sites(&self, state: &mut State) -> Result<(), GuestProbeError> {
        while self.sites.next().is_some() {}
        self.calls.clear();
        state.refused.clear();
        let is_site = |(at, subscribed): (&GuestVirt, &Arc<Subscribed>)| {
            subscribed.is_return_site.then_some(*at)
        };
        let sites: Vec<_> = state.armed.points.iter().filter_map(is_site).collect();
        for at in sites {
            let Some(subscribed) = state.armed.points.get_mut(at) else {
                continue;
            };
            if subscribed.links.is_empty() {
                self.remove_point(state, at)?;
            } else {
                Arc::make_mut(subscribed).is_return_site = false;
                state.sites -= 1;
            }
        }
        self.publish(state)
    }
}

/// Returns how many pages with `BRK`s a page of `mode` is.
fn of_brk(mode: ProbeMode) -> u32 {
    u32::from(matches!(mode, ProbeMode::HiddenBrk | ProbeMode::Brk))
}
