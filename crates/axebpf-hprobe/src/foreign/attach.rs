//! Attaching, detaching, and what they keep.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_platform::{HostVirt, Platform};
use spin::mutex::SpinMutex;

use super::arch::BREAKPOINT;
use super::displace::{Displaced, Text, inspect};
use super::registry::{Point, REGISTRY, Registry, Subscription};
use super::returning::{self, TABLE};
use super::text::{self, Patch};
use crate::returns::ReturnTable;
use crate::slot::Slots;
use crate::{Config, HprobeError, ProbeKind};

/// The management lock. Never taken in a hit.
pub(crate) static STATE: SpinMutex<State> = SpinMutex::new(State {
    config: None,
    slots: Slots::new(),
    points: BTreeMap::new(),
});

/// What the registry is made of.
pub(crate) struct State {
    pub(crate) config: Option<Config>,
    slots: Slots,
    /// The points by their addresses.
    pub(crate) points: BTreeMap<u64, Point>,
}

impl State {
    /// Attaches `subscriptions`, all of one link.
    pub(crate) fn attach(
        &mut self,
        subscriptions: &[Arc<Subscription>],
    ) -> Result<(), HprobeError> {
        let platform = axebpf_hit::platform().ok_or(HprobeError::NotInstalled)?;
        let new = self.inspect(subscriptions, platform)?;
        if subscriptions.iter().any(|sub| sub.is(ProbeKind::Return)) {
            self.prepare_returns(platform)?;
        }
        self.make_points(&new, platform)?;
        self.subscribe(subscriptions);
        // A hit that reads what was published before frees nothing, so this need not wait for it.
        drop(REGISTRY.publish(Some(self.registry())));
        let set = self.set_traps(subscriptions, platform);
        if set.is_err() {
            self.unsubscribe(subscriptions);
            let _what_went_wrong_first = self.settle(platform);
        }
        set
    }

    /// Detaches `subscriptions`, all those of one link.
    pub(crate) fn detach(
        &mut self,
        subscriptions: &[Arc<Subscription>],
    ) -> Result<(), HprobeError> {
        let platform = axebpf_hit::platform().ok_or(HprobeError::NotInstalled)?;
        self.clear_traps(subscriptions, platform)?;
        self.unsubscribe(subscriptions);
        self.settle(platform)
    }

    /// Looks at the places that are not probed yet.
    fn inspect(
        &self,
        subscriptions: &[Arc<Subscription>],
        platform: &dyn Platform,
    ) -> Result<BTreeMap<u64, Displaced>, HprobeError> {
        let config = self.config.as_ref().ok_or(HprobeError::NotInstalled)?;
        let mut new = BTreeMap::new();
        for subscription in subscriptions {
            let at = subscription.point.at().get();
            if !self.points.contains_key(&at) && !new.contains_key(&at) {
                let displaced = inspect(&subscription.point, platform, &config.blacklist)?;
                new.insert(at, displaced);
            }
        }
        Ok(new)
    }

    /// Makes the trampoline and the table, for the first return probe.
    fn prepare_returns(&mut self, platform: &dyn Platform) -> Result<(), HprobeError> {
        let config = self.config.as_ref().ok_or(HprobeError::NotInstalled)?;
        if TABLE.get().is_none() {
            let table =
                ReturnTable::new(config.return_capacity).map_err(|_| HprobeError::OutOfMemory)?;
            TABLE.call_once(|| table);
        }
        if returning::trampoline_address().is_some() {
            return Ok(());
        }
        let slot = self.slots.take(platform)?;
        let patch = Patch {
            at: slot.start().get(),
            text: Text::new(&BREAKPOINT),
        };
        // SAFETY: The slot is free, so nothing executes it, and it is not part of the hypervisor's own text.
        #[allow(unsafe_code)]
        let written = unsafe { text::write(&[patch]) };
        match written {
            // Never given back: a function may return late.
            Ok(()) => returning::set_trampoline(slot.start()),
            Err(_) => self.slots.free(slot),
        }
        written
    }

    /// Makes a point of each of `new`, with a slot that is filled. They fire for nobody yet.
    fn make_points(
        &mut self,
        new: &BTreeMap<u64, Displaced>,
        platform: &dyn Platform,
    ) -> Result<(), HprobeError> {
        let mut points = Vec::new();
        let made = self.fill_slots(new, platform, &mut points);
        for point in points {
            match made {
                Ok(()) => _ = self.points.insert(point.at, point),
                Err(_) => self.slots.free(point.slot),
            }
        }
        made
    }

    fn fill_slots(
        &mut self,
        new: &BTreeMap<u64, Displaced>,
        platform: &dyn Platform,
        points: &mut Vec<Point>,
    ) -> Result<(), HprobeError> {
        let mut patches = Vec::new();
        for (&at, &displaced) in new {
            let slot = self.slots.take(platform)?;
            points.push(Point {
                at,
                displaced,
                slot,
                subscriptions: Arc::new([]),
            });
            patches.push(Patch {
                at: slot.start().get(),
                text: displaced.insn.followed_by(displaced.trap.bytes()),
            });
        }
        // SAFETY: Nothing is sent to these slots yet, or any more. They hold an instruction that does the same there as
        // in its place, and a way on.
        #[allow(unsafe_code)]
        unsafe {
            text::write(&patches)
        }
    }

    /// Writes the traps that are not there yet.
    fn set_traps(
        &self,
        subscriptions: &[Arc<Subscription>],
        platform: &dyn Platform,
    ) -> Result<(), HprobeError> {
        let mut patches = BTreeMap::new();
        for point in self.points_of(subscriptions) {
            let trap = point.displaced.trap;
            if !is_at(platform, point.at, &trap)? {
                let at = point.at;
                patches.insert(at, Patch { at, text: trap });
            }
        }
        let patches: Vec<_> = patches.into_values().collect();
        // SAFETY: The points are published, with slots that are filled, so whoever executes a trap executes what it
        // displaces. The blacklist has kept away what writing text executes.
        #[allow(unsafe_code)]
        unsafe {
            text::write(&patches)
        }
    }

    /// Puts the instructions back at points that nobody else subscribes to.
    fn clear_traps(
        &self,
        subscriptions: &[Arc<Subscription>],
        platform: &dyn Platform,
    ) -> Result<(), HprobeError> {
        let is_ours = |sub: &Arc<Subscription>| subscriptions.iter().any(|own| own.id == sub.id);
        let mut patches = BTreeMap::new();
        for point in self.points_of(subscriptions) {
            // What somebody else has written over the trap is left to them.
            if point.subscriptions.iter().all(is_ours)
                && is_at(platform, point.at, &point.displaced.trap)?
            {
                let at = point.at;
                let text = point.displaced.insn;
                patches.insert(at, Patch { at, text });
            }
        }
        let patches: Vec<_> = patches.into_values().collect();
        // SAFETY: These are the instructions that were there, and the points stay published until no trap is left.
        #[allow(unsafe_code)]
        unsafe {
            text::write(&patches)
        }
    }

    fn points_of(&self, subscriptions: &[Arc<Subscription>]) -> impl Iterator<Item = &Point> {
        let addresses = subscriptions.iter().map(|sub| sub.point.at().get());
        addresses.filter_map(|at| self.points.get(&at))
    }

    fn subscribe(&mut self, subscriptions: &[Arc<Subscription>]) {
        for subscription in subscriptions {
            if let Some(point) = self.points.get_mut(&subscription.point.at().get()) {
                let all = point.subscriptions.iter().chain([subscription]);
                point.subscriptions = all.cloned().collect();
            }
        }
    }

    fn unsubscribe(&mut self, subscriptions: &[Arc<Subscription>]) {
        for subscription in subscriptions {
            if let Some(point) = self.points.get_mut(&subscription.point.at().get()) {
                let others = point.subscriptions.iter();
                let others = others.filter(|other| other.id != subscription.id);
                point.subscriptions = others.cloned().collect();
            }
        }
    }

    /// Publishes what is left after an unsubscription, waits until no hit reads what was, and frees it.
    fn settle(&mut self, platform: &dyn Platform) -> Result<(), HprobeError> {
        let mut gone = Vec::new();
        self.points.retain(|_, point| {
            // Where a trap has stayed, so does the point that knows how to go on there.
            let is_trap = || is_at(platform, point.at, &point.displaced.trap);
            let stays = !point.subscriptions.is_empty() || is_trap().unwrap_or(true);
            if !stays {
                gone.push(point.slot);
            }
            stays
        });
        // On failure the old registry and the slots are leaked: they may be in use.
        REGISTRY.publish(Some(self.registry())).reclaim()?;
        gone.into_iter().for_each(|slot| self.slots.free(slot));
        Ok(())
    }

    fn registry(&self) -> Box<Registry> {
        let points: Box<[Point]> = self.points.values().cloned().collect();
        let all = points.iter().flat_map(|point| point.subscriptions.iter());
        let mut returns: Vec<_> = all
            .filter(|sub| sub.is(ProbeKind::Return))
            .cloned()
            .collect();
        returns.sort_unstable_by_key(|sub| sub.id);
        Box::new(Registry {
            points,
            returns: returns.into_boxed_slice(),
        })
    }
}

/// Tells whether `text` is at `at`.
fn is_at(platform: &dyn Platform, at: u64, text: &Text) -> Result<bool, HprobeError> {
    let mut found = Text::new(text.bytes());
    platform.read_memory(HostVirt::new(at), found.bytes_mut())?;
    Ok(found == *text)
}
