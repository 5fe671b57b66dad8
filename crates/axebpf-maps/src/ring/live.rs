//! The set of live reservations: one bit for each place where a record can start.
//!
//! It lies outside of the arena, where no program can write, and its bits change atomically, so exactly one of
//! several attempts to end a reservation succeeds.

use alloc::vec::Vec;

use crate::MapError;
use crate::storage::table;
use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct LiveSet(Vec<AtomicU64>);

impl LiveSet {
    pub(crate) fn new(places: u64) -> Result<Self, MapError> {
        Ok(Self(table(places.div_ceil(64) as usize, || {
            AtomicU64::new(0)
        })?))
    }

    #[inline]
    pub(crate) fn add(&self, place: u64) {
        self.0[(place / 64) as usize].fetch_or(1 << (place % 64), Ordering::Relaxed);
    }

    /// Takes `place` out; tells whether it was in.
    #[inline]
    pub(crate) fn remove(&self, place: u64) -> bool {
        let bit = 1 << (place % 64);
        self.0[(place / 64) as usize].fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }
}
