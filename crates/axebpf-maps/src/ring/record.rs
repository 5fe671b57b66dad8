//! What a ring buffer tells about itself and its records.

use core::ptr::NonNull;

/// A reserved record: memory that only its owner writes until it is submitted or discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a record that is neither submitted nor discarded blocks the consumer for good"]
pub struct RingRecord {
    /// The first byte; aligned to 8.
    pub ptr: NonNull<u8>,
    /// The length in bytes.
    pub len: u32,
}

/// How far producers and the consumer of a ring buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingPositions {
    /// The bytes that the ring buffer holds (`BPF_RB_RING_SIZE`).
    pub size: u64,
    /// The position up to which everything was consumed (`BPF_RB_CONS_POS`).
    pub consumer: u64,
    /// The position up to which everything is reserved (`BPF_RB_PROD_POS`).
    pub producer: u64,
}

impl RingPositions {
    /// Returns the bytes between consumer and producer, headers included (`BPF_RB_AVAIL_DATA`).
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.producer - self.consumer
    }
}
