//! What a map counts.

use crate::RingPositions;

/// What a map has counted since its creation. Returned by [`Map::stats`](crate::Map::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapStats {
    /// The number of entries; of an array, all of them. `None` for kinds that do not count them: ring buffers, perf
    /// event arrays, bloom filters, and, inside a hit, those that hold programs or maps.
    pub entries: Option<u32>,
    /// How many entries made room for others, in the kinds that forget.
    pub evicted: u64,
    /// How often a hit got [`Busy`](crate::MapError::Busy) because another CPU held what it wanted.
    pub busy: u64,
    /// The counters of a ring buffer.
    pub ring: Option<RingStats>,
    /// The records that found no room in a perf event array, on all CPUs together.
    pub lost: u64,
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
