//! Ring buffers: records of any length from hits on all CPUs to one consumer at a time.
//!
//! # Layout
//!
//! A *position* counts bytes since the creation and never goes down; the byte at position `p` is at `p % size` of the
//! data area. A record is a header of 8 bytes and its data, rounded up to 8. For a program, the data must be
//! contiguous. Linux maps the data area twice; here the area is followed by a *spill* area of one largest record, into
//! which the last record of a lap runs over, so no room is lost to padding. (Two records cannot need the spill at once:
//! each contains the start of a lap, and those are `size` apart.)
//!
//! The header holds the length with Linux's busy and discard bits (`BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT`)
//! in its lower half, and a tag made from the position, never zero, in its upper half.
//!
//! # Protocol
//!
//! - **Reserving** is one compare-and-exchange of the producer position, tried a bounded number of times, and then a
//!   store of a busy header. No lock: a CPU that stands still between the two keeps nobody from reserving.
//! - **The consumer** reads headers from the consumer position up to the producer position and stops at one that is
//!   busy, or not written yet (zero). It zeroes what it consumed before it moves the consumer position on, so that a
//!   header is zero until it is written. It holds nothing that a producer waits for.
//! - **Submitting** and **discarding** clear the record's bit in the map of live reservations, which alone decides
//!   whether an address is one, and then the busy bit.

mod consumer;
mod live;
mod record;

use core::ptr::NonNull;

use axebpf_hit::HitGuard;

pub use crate::ring::consumer::Consumer;
use crate::ring::live::LiveSet;
pub use crate::ring::record::{RingPositions, RingRecord};
use crate::storage::{Arena, Words};
use crate::sync::{AtomicBool, AtomicU64, Ordering, spin_loop};
use crate::value_source::ValueSource;
use crate::{MAX_RING_SIZE, MIN_RING_SIZE, MapError, limits};

/// The most bytes that one record of any ring buffer can have: 64 KiB less its header.
pub const MAX_RECORD_LEN: u32 = (64 << 10) - HEADER as u32;

const HEADER: u64 = 8;
const BUSY: u32 = 1 << 31;
pub(crate) const DISCARD: u32 = 1 << 30;

/// How often a hit tries to move the producer position.
#[cfg(not(loom))]
const RESERVE_TRIES: u32 = 4096;
#[cfg(loom)]
const RESERVE_TRIES: u32 = 3;

/// A queue of records, written in hits on all CPUs, read by one consumer at a time.
#[derive(Debug)]
pub struct RingBuf {
    /// The data area and the spill area.
    words: Words,
    size: u64,
    max_record: u32,
    consumer: AtomicU64,
    producer: AtomicU64,
    live: LiveSet,
    consuming: AtomicBool,
    dropped: AtomicU64,
    abandoned: AtomicU64,
}

impl RingBuf {
    /// Returns the size for a ring buffer that shall hold at least `bytes`, as libbpf rounds it.
    ///
    /// The next power of two from [`MIN_RING_SIZE`] on; `None` for zero, and for what is above [`MAX_RING_SIZE`].
    #[must_use]
    pub const fn size_for(bytes: u32) -> Option<u32> {
        if bytes == 0 || bytes > MAX_RING_SIZE {
            None
        } else if bytes < MIN_RING_SIZE {
            Some(MIN_RING_SIZE)
        } else {
            Some(bytes.next_power_of_two())
        }
    }

    pub(crate) fn new(size: u32) -> Result<Self, MapError> {
        let max_record = MAX_RECORD_LEN.min(size - HEADER as u32);
        let bytes = u64::from(size) + u64::from(max_record);
        limits::check_total(bytes)?;
        Ok(Self {
            words: Words::new(bytes as usize)?,
            size: u64::from(size),
            max_record,
            consumer: AtomicU64::new(0),
            producer: AtomicU64::new(0),
            live: LiveSet::new(u64::from(size) / HEADER)?,
            consuming: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        })
    }

    pub(crate) fn arena(&self) -> Arena {
        let len = self.words.byte_len();
        Arena {
            base: self.words.expose(),
            len,
            stride: len,
            value_size: len,
        }
    }

    /// Returns the bytes that a ring buffer of `size` bytes takes in all.
    pub(crate) fn bytes_for(size: u32) -> u64 {
        let size = u64::from(size);
        (size + Self::spill_for(size)).next_multiple_of(64) + size / HEADER / 8
    }

    fn spill_for(size: u64) -> u64 {
        u64::from(MAX_RECORD_LEN).min(size - HEADER)
    }

    /// Returns the most bytes that a record of this ring buffer can have.
    #[must_use]
    pub fn max_record_len(&self) -> u32 {
        self.max_record
    }

    /// Returns how far producers and consumer are (`bpf_ringbuf_query`).
    #[must_use]
    pub fn positions(&self) -> RingPositions {
        // In this order, so that the producer is never behind the consumer.
        let consumer = self.consumer.load(Ordering::Acquire);
        let producer = self.producer.load(Ordering::Acquire);
        RingPositions {
            size: self.size,
            consumer,
            producer,
        }
    }

    /// Returns how many records could not be reserved, for want of room or, rarely, for contention.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns how many reservations their program left behind.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Reserves a record of `len` bytes (`bpf_ringbuf_reserve`). Its memory is not cleared.
    ///
    /// # Errors
    ///
    /// [`RecordTooLarge`](MapError::RecordTooLarge), [`RingFull`](MapError::RingFull), and [`Busy`](MapError::Busy)
    /// when other CPUs were always faster. All are counted as dropped.
    pub fn reserve(&self, _guard: &HitGuard, len: u64) -> Result<RingRecord, MapError> {
        self.reserve_unguarded(len)
    }

    /// The same without a guard, which only the models lack.
    pub(crate) fn reserve_unguarded(&self, len: u64) -> Result<RingRecord, MapError> {
        let reserved = self.claim(len);
        match reserved {
            Ok((position, len)) => Ok(self.begin(position, len)),
            Err(error) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Moves the producer position over a record of `len` bytes.
    #[inline]
    fn claim(&self, len: u64) -> Result<(u64, u32), MapError> {
        let limit = self.max_record;
        let short = u32::try_from(len).ok().filter(|&len| len <= limit);
        let short = short.ok_or(MapError::RecordTooLarge { len, limit })?;
        let need = span(short);
        let mut at = self.producer.load(Ordering::Relaxed);
        for _ in 0..RESERVE_TRIES {
            // Acquired: what the consumer zeroed must be zero before a header is stored there.
            let consumer = self.consumer.load(Ordering::Acquire);
            // The consumer can be ahead of a producer position that was read a while ago; the exchange fails then.
            if at >= consumer && at - consumer + need > self.size {
                return Err(MapError::RingFull { len: short });
            }
            match self
                .producer
                .compare_exchange(at, at + need, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Ok((at, short)),
                Err(now) => at = now,
            }
            spin_loop();
        }
        Err(MapError::Busy)
    }

    /// Writes the header of a claimed record.
    #[inline]
    fn begin(&self, position: u64, len: u32) -> RingRecord {
        let offset = position % self.size;
        self.live.add(offset / HEADER);
        self.header(offset)
            .store(tag(position) | u64::from(len | BUSY), Ordering::Relaxed);
        RingRecord {
            ptr: self.words.address((offset + HEADER) as usize),
            len,
        }
    }

    #[inline]
    fn header(&self, offset: u64) -> &AtomicU64 {
        self.words.word((offset / 8) as usize)
    }

    /// Gives a reserved record to the consumer (`bpf_ringbuf_submit`).
    ///
    /// # Errors
    ///
    /// [`NotReserved`](MapError::NotReserved) unless `ptr` is that of a live reservation.
    pub fn submit(&self, _guard: &HitGuard, ptr: NonNull<u8>) -> Result<(), MapError> {
        self.finish(ptr, 0)
    }

    /// Takes a reserved record back; the consumer skips it (`bpf_ringbuf_discard`).
    ///
    /// # Errors
    ///
    /// [`NotReserved`](MapError::NotReserved) unless `ptr` is that of a live reservation.
    pub fn discard(&self, _guard: &HitGuard, ptr: NonNull<u8>) -> Result<(), MapError> {
        self.finish(ptr, DISCARD)
    }

    /// Takes back, and counts, a record that its program left behind when it ended.
    ///
    /// # Errors
    ///
    /// [`NotReserved`](MapError::NotReserved) unless `ptr` is that of a live reservation.
    pub fn abandon(&self, _guard: &HitGuard, ptr: NonNull<u8>) -> Result<(), MapError> {
        self.finish(ptr, DISCARD)?;
        self.abandoned.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends a reservation, whoever holds it.
    pub(crate) fn finish(&self, ptr: NonNull<u8>, flag: u32) -> Result<(), MapError> {
        let addr = ptr.addr().get();
        let offset = self.offset_of(addr).ok_or(MapError::NotReserved { addr })?;
        if !self.live.remove(offset / HEADER) {
            return Err(MapError::NotReserved { addr });
        }
        self.settle(offset, flag);
        Ok(())
    }

    /// Clears the busy bit of the header at `offset`. The caller has removed it from the live ones.
    #[inline]
    fn settle(&self, offset: u64, flag: u32) {
        let header = self.header(offset);
        let now = header.load(Ordering::Relaxed);
        let done = (now & !u64::from(BUSY)) | u64::from(flag);
        // Released: who sees the record settled also sees its data.
        header.store(done, Ordering::Release);
    }

    /// Returns the offset of the header of the record whose data starts at `addr`, if one can start there.
    #[inline]
    fn offset_of(&self, addr: usize) -> Option<u64> {
        let base = self.words.address(0).addr().get();
        let offset = (addr.checked_sub(base)? as u64).checked_sub(HEADER)?;
        (offset < self.size && offset.is_multiple_of(HEADER)).then_some(offset)
    }

    /// Reserves, writes and submits a record (`bpf_ringbuf_output`).
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn output(
        &self,
        _guard: &HitGuard,
        data: &(impl ValueSource + ?Sized),
    ) -> Result<(), MapError> {
        self.output_unguarded(data)
    }

    pub(crate) fn output_unguarded(
        &self,
        data: &(impl ValueSource + ?Sized),
    ) -> Result<(), MapError> {
        let record = self.reserve_unguarded(data.byte_len() as u64)?;
        let first = (record.ptr.addr().get() - self.words.address(0).addr().get()) / 8;
        for index in 0..data.byte_len().div_ceil(8) {
            self.words
                .word(first + index)
                .store(data.word(index), Ordering::Relaxed);
        }
        self.finish(record.ptr, 0)
    }

    /// Becomes the consumer, until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// [`ConsumerBusy`](MapError::ConsumerBusy) while there is one.
    pub fn consumer(&self) -> Result<Consumer<'_>, MapError> {
        Consumer::of(self)
    }

    /// Consumes what has been submitted, up to where producers are now or the first record that is still reserved,
    /// and returns the number of records that `visit` got. Never waits and never makes a producer wait.
    ///
    /// # Errors
    ///
    /// [`ConsumerBusy`](MapError::ConsumerBusy) while there is another consumer;
    /// [`OutOfMemory`](MapError::OutOfMemory) when there is none for a copy of the record;
    /// [`RingCorrupt`](MapError::RingCorrupt) when somebody wrote over a header.
    pub fn consume(&self, mut visit: impl FnMut(&[u8])) -> Result<usize, MapError> {
        let mut consumer = self.consumer()?;
        let end = self.producer.load(Ordering::Acquire);
        let mut records = 0;
        while let Some(record) = consumer.next_before(end)? {
            visit(record);
            records += 1;
        }
        Ok(records)
    }
}

/// Returns the bytes from the header of a record of `len` bytes to the next header.
#[inline]
fn span(len: u32) -> u64 {
    HEADER + u64::from(len).next_multiple_of(HEADER)
}

/// Returns the upper half of the header at `position`.
#[inline]
fn tag(position: u64) -> u64 {
    ((position / HEADER) | (1 << 31)) << 32
}
