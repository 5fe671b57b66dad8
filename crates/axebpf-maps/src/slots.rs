//! Slots that hold something other than bytes: programs, and maps.
//!
//! # Protocol
//!
//! Each slot is a [`Snapshot`]: a hit reads what is in it without a lock and without counting references, and may use
//! it until the hit ends. The management side replaces it, waits until no hit is left that could have read what was
//! there before, and only then gives that back.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use axebpf_hit::{HitError, HitGuard, Retired, Snapshot};

use crate::MapError;
use crate::reader::enter;
use crate::storage::table;

/// How many slots are looked at with interrupts masked.
const BATCH: usize = 256;

/// What is in a slot.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) value: T,
    pub(crate) number: u32,
}

impl<T> Held<T> {
    /// Gives `value` a number that nothing else in any slot of any map has (until 2^32 of them were given).
    pub(crate) fn new(value: T) -> Box<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Box::new(Self {
            value,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Slots<T>(Vec<Snapshot<Held<T>>>);

impl<T> Slots<T> {
    /// The bytes that one slot takes.
    pub(crate) const SLOT: u64 = size_of::<Snapshot<Held<T>>>() as u64;

    pub(crate) fn new(slots: u32) -> Result<Self, MapError> {
        Ok(Self(table(slots as usize, Snapshot::empty)?))
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// Returns what is in `slot`, for as long as the hit lasts.
    #[inline]
    pub(crate) fn get<'g>(&'g self, guard: &'g HitGuard, slot: u32) -> Option<&'g Held<T>> {
        self.0.get(slot as usize)?.load(guard)
    }

    /// Returns the number of what is in `slot`. Called outside of hits.
    pub(crate) fn number(&self, slot: u32) -> Result<Option<u32>, MapError> {
        let guard = enter()?;
        Ok(self.get(&guard, slot).map(|held| held.number))
    }

    /// Returns how many slots have something in them. Called outside of hits.
    pub(crate) fn occupied(&self) -> Result<u32, MapError> {
        let mut occupied = 0;
        for cells in self.0.chunks(BATCH) {
            // Not one guard for all of them, since interrupts are masked meanwhile.
            let guard = enter()?;
            let full = |cell: &&Snapshot<_>| cell.load(&guard).is_some();
            occupied += cells.iter().filter(full).count() as u32;
        }
        Ok(occupied)
    }

    /// Puts `next` into `slot`, which the caller has checked, and returns what was there.
    pub(crate) fn publish(&self, slot: u32, next: Option<Box<Held<T>>>) -> Retired<Held<T>> {
        self.0[slot as usize].publish(next)
    }
}

impl<T: Clone> Slots<T> {
    /// Returns what is in `slot`, for keeping. Called outside of hits.
    pub(crate) fn cloned(&self, slot: u32) -> Result<Option<T>, MapError> {
        let guard = enter()?;
        Ok(self.get(&guard, slot).map(|held| held.value.clone()))
    }
}

/// Waits until no hit uses what was in a slot, and returns it.
pub(crate) fn reclaim<T>(retired: Retired<Held<T>>) -> Result<Option<T>, MapError> {
    match retired.reclaim() {
        Ok(held) => Ok(held.map(|held| held.value)),
        Err(HitError::InHit { .. }) => Err(MapError::InHit),
        Err(error) => Err(MapError::Stuck { error }),
    }
}

/// Refuses to wait for hits inside of one.
pub(crate) fn check_outside() -> Result<(), MapError> {
    if axebpf_hit::in_hit() {
        Err(MapError::InHit)
    } else {
        Ok(())
    }
}
