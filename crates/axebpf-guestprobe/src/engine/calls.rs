//! Calls of probed functions that have not returned yet.

use alloc::vec::Vec;
use core::cmp::Reverse;

use axebpf_platform::GuestVirt;
use spin::{Mutex, MutexGuard};

use super::point::GuestLinkId;
use crate::Entered;

/// How often a hit tries to get a lock before it counts as missed.
const ATTEMPTS: usize = 64;
/// A stack of a Linux task has no more bytes.
const STACK: u64 = 16 << 10;
/// How many parts the table has, so that vCPUs do not wait for each other.
const SHARDS: usize = 8;
/// How many calls each part has room for, at least and at most. Hits look through a part.
const ROOM: (usize, usize) = (64, 2048);

/// Takes `lock` if that is possible within a bounded number of attempts.
pub(super) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    (0..ATTEMPTS).find_map(|_| lock.try_lock())
}

/// What makes one call of a probed function different from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Where it returns to.
    pub(super) site: GuestVirt,
    /// The stack pointer at its entry, which it has again at its return.
    pub(super) sp: u64,
    /// The guest's task. Whatever the guest has there is only compared.
    pub(super) task: u64,
}

/// A call that is remembered for one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) link: GuestLinkId,
    pub(super) call: Call,
    pub(super) entered: Entered,
}

impl Pending {
    /// Tells whether `self` cannot return any more when its task makes the call `next`: its frame would lie below.
    fn is_gone_at(&self, next: &Self) -> bool {
        let above = next.call.sp.wrapping_sub(self.call.sp);
        let has_other_frame = above != 0 || self.link == next.link;
        self.call.task == next.call.task && above < STACK && has_other_frame
    }
}

/// The calls of all probed functions of a guest that have not returned yet. Those of one task are in one part.
pub(super) struct Calls {
    shards: [Mutex<Vec<Pending>>; SHARDS],
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self {
            shards: [const { Mutex::new(Vec::new()) }; SHARDS],
        }
    }

    fn shard(&self, task: u64) -> Option<MutexGuard<'_, Vec<Pending>>> {
        // Tasks lie at multiples of large powers of two; the multiplication spreads them.
        let spread = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.shards.get(spread as usize % SHARDS).and_then(try_lock)
    }

    /// Remembers a call. Calls `missed` for each link of which a call is not remembered, or not any more. Called in
    /// hits: neither waits nor allocates.
    pub(super) fn note(&self, new: Pending, mut missed: impl FnMut(GuestLinkId)) {
        let Some(mut calls) = self.shard(new.call.task) else {
            return missed(new.link);
        };
        let mut index = 0;
        while let Some(old) = calls.get(index) {
            if old.is_gone_at(&new) {
                missed(calls.swap_remove(index).link);
            } else {
                index += 1;
            }
        }
        if calls.len() == calls.capacity() {
            // Tasks that have died leave calls behind that never return.
            let begun = |index: &usize| calls.get(*index).map(|call| call.entered.time_ns);
            match (0..calls.len()).min_by_key(begun) {
                Some(oldest) => missed(calls.swap_remove(oldest).link),
                None => return missed(new.link),
            }
        }
        calls.push(new);
    }

    /// Forgets a call that is just returning, the last one that began, and returns it. Called in hits.
    pub(super) fn take(&self, returning: Call) -> Option<Pending> {
        let mut calls = self.shard(returning.task)?;
        let (index, _) = calls
            .iter()
            .enumerate()
            .filter(|(_, pending)| pending.call == returning)
            .max_by_key(|(_, pending)| (pending.entered.time_ns, Reverse(pending.link)))?;
        Some(calls.swap_remove(index))
    }

    /// Makes room for `calls` calls that are spread as unevenly as may be expected. Called in management.
    pub(super) fn make_room(&self, calls: usize) {
        let wanted = (4 * calls / SHARDS).clamp(ROOM.0, ROOM.1);
        for shard in &self.shards {
            if with(shard, |calls| calls.capacity()) < wanted {
                let larger = Vec::with_capacity(wanted);
                drop(with(shard, |calls| replace(calls, larger)));
            }
        }
    }

    /// Forgets the calls of `link`, and returns how many there were. Called in management.
    pub(super) fn forget(&self, link: GuestLinkId) -> usize {
        let forget = |calls: &mut Vec<Pending>| {
            let before = calls.len();
            calls.retain(|pending| pending.link != link);
            before - calls.len()
        };
        self.shards.iter().map(|shard| with(shard, forget)).sum()
    }

    /// Forgets all calls, and gives back the room. Called in management.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            drop(with(shard, core::mem::take));
        }
    }
}

/// Moves what is in `calls` to `larger`, which has more room, puts that in its place, and returns what it was in.
fn replace(calls: &mut Vec<Pending>, mut larger: Vec<Pending>) -> Vec<Pending> {
    larger.append(calls);
    core::mem::replace(calls, larger)
}

/// Lets `work` have what is in `lock`, under a guard, so that nobody who holds it is interrupted while hits elsewhere
/// try to get it. Without a platform there are no hits.
fn with<T, R>(lock: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
    let _guard = axebpf_hit::enter().ok();
    work(&mut lock.lock())
}
