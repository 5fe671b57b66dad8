//! Attaching, detaching, and what they keep.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_a64::{Execution, Insn};
use axebpf_platform::{HostVirt, Platform, ReadMemory};
use spin::mutex::SpinMutex;

use crate::registry::{Point, REGISTRY, Registry, Subscription};
use crate::returning::TABLE;
use crate::returns::{LinkId, ReturnTable};
use crate::slot::{SLOT_BYTES, Slots};
use crate::text::{self, Patch};
use crate::trap::BrkImmediate;
use crate::{Config, HprobeError, ProbeKind, inspect, returning};

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
        let traps = self.prepare_slots(new, platform).and_then(|new| {
            for point in new {
                self.points.insert(point.at, point);
            }
            self.subscribe(subscriptions);
            self.publish();
            self.set_traps(subscriptions, platform)
        });
        let Err(error) = traps else { return Ok(()) };
        self.unsubscribe(subscriptions);
        let _what_went_wrong_first = self.settle(platform);
        Err(error)
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
    ) -> Result<Vec<Point>, HprobeError> {
        let config = self.config.as_ref().ok_or(HprobeError::NotInstalled)?;
        let mut new: BTreeMap<u64, Point> = BTreeMap::new();
        for subscription in subscriptions {
            let at = subscription.point.at().get();
            if self.points.contains_key(&at) || new.contains_key(&at) {
                continue;
            }
            let displaced = inspect(&subscription.point, platform, &config.blacklist)?;
            let point = Point {
                at,
                word: displaced.word,
                execution: self::execution(displaced.execution, config),
                slot: None,
                subscriptions: Arc::new([]),
            };
            new.insert(at, point);
        }
        Ok(new.into_values().collect())
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
        let word = BrkImmediate::Return.instruction();
        // SAFETY: The slot is free, so nothing executes it, and it is not part of the hypervisor's own text.
        #[allow(unsafe_code)]
        let written = unsafe { text::write(&[Patch::word(slot.start().get(), word)]) };
        match written {
            // Never given back: a function may return late.
            Ok(()) => returning::set_trampoline(slot.start()),
            Err(_) => self.slots.free(slot),
        }
        written
    }

    /// Gives slots to those points that need one, and fills them.
    fn prepare_slots(
        &mut self,
        mut points: Vec<Point>,
        platform: &dyn Platform,
    ) -> Result<Vec<Point>, HprobeError> {
        let filled = self.fill_slots(&mut points, platform);
        if filled.is_err() {
            for slot in points.iter().filter_map(|point| point.slot) {
                self.slots.free(slot);
            }
        }
        filled.map(|()| points)
    }

    fn fill_slots(
        &mut self,
        points: &mut [Point],
        platform: &dyn Platform,
    ) -> Result<(), HprobeError> {
        let mut patches: Vec<Patch<{ SLOT_BYTES as usize }>> = Vec::new();
        for point in points
            .iter_mut()
            .filter(|point| needs_slot(point.execution))
        {
            let slot = self.slots.take(platform)?;
            point.slot = Some(slot);
            patches.push(Patch {
                at: slot.start(),
                bytes: slot.text(point.word, point.at),
            });
        }
        // SAFETY: Nothing is sent to these slots yet, or any more. They hold an instruction that does the same there as
        // in its place, and ways on.
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
        let trap = BrkImmediate::Probe.instruction();
        let mut patches: BTreeMap<u64, Patch<4>> = BTreeMap::new();
        for subscription in subscriptions {
            let at = subscription.point.at();
            if word_at(platform, at)? != trap {
                patches.insert(at.get(), Patch::word(at.get(), trap));
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
        let trap = BrkImmediate::Probe.instruction();
        let mut patches = BTreeMap::new();
        for subscription in subscriptions {
            let at = subscription.point.at().get();
            let Some(point) = self.points.get(&at) else {
                continue;
            };
            let others = |sub: &Arc<Subscription>| sub.link != subscription.link;
            // What somebody else has written over the trap is left to them.
            if !point.subscriptions.iter().any(others)
                && word_at(platform, subscription.point.at())? == trap
            {
                patches.insert(at, Patch::word(at, point.word));
            }
        }
        let patches: Vec<_> = patches.into_values().collect();
        // SAFETY: These are the instructions that were there, and the points stay published until no trap is left.
        #[allow(unsafe_code)]
        unsafe {
            text::write(&patches)
        }
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
        let trap = BrkImmediate::Probe.instruction();
        let mut gone = Vec::new();
        self.points.retain(|&at, point| {
            // Where a trap has stayed, so does the point that knows how to go on there.
            let stays = !point.subscriptions.is_empty()
                || !word_at(platform, HostVirt::new(at)).is_ok_and(|word| word != trap);
            if !stays {
                gone.extend(point.slot);
            }
            stays
        });
        // On failure the old registry and the slots are leaked: they may be in use.
        REGISTRY.publish(Some(self.registry())).reclaim()?;
        gone.into_iter().for_each(|slot| self.slots.free(slot));
        Ok(())
    }

    /// Publishes the points as they are. What was published before is freed when no hit reads it, or leaked where a CPU
    /// does not leave its hit.
    fn publish(&self) {
        drop(REGISTRY.publish(Some(self.registry())));
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
            addresses: points.iter().map(|point| point.at).collect(),
            points,
            returns: returns.into_boxed_slice(),
            branch_targets: self
                .config
                .as_ref()
                .map_or(axebpf_a64::BranchTargets::Unimplemented, |config| {
                    config.branch_targets
                }),
            store: self.config.as_ref().and_then(|config| config.store),
            sign: self.config.as_ref().and_then(|config| config.sign),
        })
    }
}

/// Says how an instruction is executed, given what the hypervisor can simulate.
fn execution(execution: Execution, config: &Config) -> Execution {
    match execution {
        // Only for the stack are the rights of the interrupted code those of the hit.
        Execution::Simulate(Insn::StorePre { base, .. } | Insn::StorePairPre { base, .. })
            if config.store.is_none() || !base.is_sp() =>
        {
            Execution::OutOfLine
        }
        execution => execution,
    }
}

/// Tells whether an instruction may have to be executed in a slot. A store that faults does so there.
fn needs_slot(execution: Execution) -> bool {
    matches!(
        execution,
        Execution::OutOfLine
            | Execution::Simulate(Insn::StorePre { .. } | Insn::StorePairPre { .. })
    )
}

fn word_at(memory: &(impl ReadMemory + ?Sized), at: HostVirt) -> Result<u32, HprobeError> {
    let mut word = [0; 4];
    memory.read_memory(at, &mut word)?;
    Ok(u32::from_le_bytes(word))
}

/// Returns a number that no link and no subscription has had.
pub(crate) fn new_id() -> LinkId {
    use core::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(1);
    LinkId::new(NEXT.fetch_add(1, Ordering::Relaxed))
}
