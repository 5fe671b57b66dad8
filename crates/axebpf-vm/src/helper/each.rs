//! Visiting the entries of a map.
//!
//! The callback gets a pointer to a copy of the key, in memory of this CPU that the run holds like a record of a ring
//! buffer for as long as the iteration goes on. There is one place for each level of iterations in iterations.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::{MAX_CPUS, Padded, PerCpu};
use axebpf_maps::{MAX_KEY_SIZE, Map, MapKind};

use super::Helper;
use super::call::{HelperFault, Helpers};
use crate::errno::{EBUSY, EINVAL};
use crate::flow::{Flow, Pending};
use crate::memory::Reservation;

/// The number of iterations in iterations.
const LEVELS: usize = 4;

/// The slots that are looked at in one step.
const SLOTS_AT_ONCE: u32 = 32;

/// What a step is charged as, in bytes of work: one instruction.
const STEP_COST: u64 = 8;

const KEY_WORDS: usize = MAX_KEY_SIZE as usize / 8;

/// What stands in the place of a map's number for memory that is of no ring buffer.
pub(super) const NO_RING: usize = usize::MAX;

/// The keys that callbacks see, of each level.
struct Keys([[AtomicU64; KEY_WORDS]; LEVELS]);

static KEYS: PerCpu<Keys> = PerCpu::new(
    [const {
        Padded::new(Keys(
            [const { [const { AtomicU64::new(0) }; KEY_WORDS] }; LEVELS],
        ))
    }; MAX_CPUS],
);

/// An iteration, as [`Pending`] remembers it.
struct Iteration {
    /// Where in the map it is.
    slot: u32,
    /// The number of the map among the program's.
    map: usize,
    level: usize,
    context: u64,
    /// The entries that were visited.
    done: u64,
}

impl Iteration {
    fn of(pending: &Pending) -> Self {
        let [slot, place, context, done] = pending.state;
        Self {
            slot: slot as u32,
            map: (place >> 8) as usize,
            level: (place & 0xff) as usize % LEVELS,
            context,
            done,
        }
    }

    fn pending(&self, function: u64) -> Pending {
        let place = (self.map as u64) << 8 | self.level as u64;
        Pending {
            helper: Helper::ForEachMapElem,
            function,
            state: [self.slot.into(), place, self.context, self.done],
        }
    }
}

impl<'r> Helpers<'r> {
    /// `bpf_for_each_map_elem(map, callback, ctx, flags)`: returns the number of entries visited.
    ///
    /// Each entry is charged as the callback that it is, and the slots that are passed to find it besides.
    pub(super) fn each_start(&mut self, args: [u64; 5]) -> Result<Flow<'r>, HelperFault> {
        let [map, function, context, flags, _] = args;
        let handle = map;
        let index = self.map_index(1, handle)?;
        let map = self.map(1, handle)?;
        if flags != 0 || !has_entries(map) {
            return Ok(self.fail(EINVAL));
        }
        let addr = |level: usize| self.key_place(level).as_ptr().expose_provenance() as u64;
        let free = (0..LEVELS)
            .map(|level| (level, addr(level)))
            .find(|(_, addr)| !self.memory.holds_record(*addr));
        let Some((level, addr)) = free.filter(|_| self.memory.can_hold_record()) else {
            return Ok(self.fail(EBUSY));
        };
        let place = Reservation {
            map: NO_RING,
            addr,
            len: map.spec().key_size.into(),
        };
        // SAFETY: the place is a static of this CPU, which only this run uses, and of which no other run of this level
        // is in use, as just seen. Its provenance is exposed, and it is accessed by atomic operations only.
        unsafe { self.memory.hold_record(place) };
        let iteration = Iteration {
            slot: 0,
            map: index,
            level,
            context,
            done: 0,
        };
        self.each_next(iteration, function)
    }

    /// Goes on after the callback has returned `result`.
    pub(super) fn each_resume(
        &mut self,
        pending: &Pending,
        result: u64,
    ) -> Result<Flow<'r>, HelperFault> {
        let mut iteration = Iteration::of(pending);
        iteration.done += 1;
        if result == 0 {
            self.each_next(iteration, pending.function)
        } else {
            Ok(self.each_end(&iteration))
        }
    }

    /// Calls the callback for the next entry, if there is one.
    fn each_next(
        &mut self,
        mut iteration: Iteration,
        function: u64,
    ) -> Result<Flow<'r>, HelperFault> {
        let place = self.map_at(iteration.map);
        let Some((map, handle)) = place.zip(self.memory.handle_of(iteration.map)) else {
            return Ok(self.each_end(&iteration));
        };
        let len = map.spec().key_size as usize;
        while iteration.slot < map.slot_count() {
            let slots = iteration.slot..iteration.slot.saturating_add(SLOTS_AT_ONCE);
            self.charge(STEP_COST)?;
            let found = map.entry_in(self.guard, slots.clone(), &mut self.scratch[..len]);
            let Ok(Some(entry)) = found else {
                iteration.slot = slots.end;
                continue;
            };
            iteration.slot = entry.slot + 1;
            let place = self.key_place(iteration.level);
            for (word, bytes) in place.iter().zip(self.scratch[..len].chunks(8)) {
                let mut padded = [0; 8];
                padded[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
            }
            let key = place.as_ptr().expose_provenance() as u64;
            let value = entry.value.as_ptr().expose_provenance() as u64;
            return Ok(Flow::Call {
                pending: iteration.pending(function),
                args: [handle, key, value, iteration.context, 0],
            });
        }
        Ok(self.each_end(&iteration))
    }

    fn each_end(&mut self, iteration: &Iteration) -> Flow<'r> {
        let place = self.key_place(iteration.level);
        let addr = place.as_ptr().expose_provenance() as u64;
        self.memory.take_record(addr);
        Flow::Return(iteration.done)
    }

    fn key_place(&self, level: usize) -> &'r [AtomicU64; KEY_WORDS] {
        &KEYS.get(self.guard).0[level % LEVELS]
    }
}

/// Tells whether programs can visit the entries of a map.
fn has_entries(map: &Map) -> bool {
    matches!(
        map.kind(),
        MapKind::Hash
            | MapKind::LruHash
            | MapKind::PerCpuHash
            | MapKind::LruPerCpuHash
            | MapKind::Array
            | MapKind::PerCpuArray
    )
}
