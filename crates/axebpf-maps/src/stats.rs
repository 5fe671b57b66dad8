//! What a map counts.

use crate::RingPositions;

/// What a map has counted since its creation. Returned by [`Map::stats`](crate::Map::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapStats {
    /// The number of entries; of an array, all of them. `None` for a ring buffer.
    pub entries: Option<u32>,
    /// How often a hit got [`Busy`](crate::MapError::Busy) because another CPU held what it wanted.
    pub busy: u64,
    /// The counters of a ring buffer.
    pub ring: Option<RingStats>,
}

/// What a ring buffer has counted since its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Records that found no room.
    pub dropped: u64,
    /// Reservations that their program left behind.
    pub abandoned: u64,
    /// How far producers and consumer are.
    pub positions: RingPositions,
}
