//! The consumer side of a ring buffer.

use alloc::vec::Vec;

use crate::MapError;
use crate::ring::{BUSY, DISCARD, HEADER, RingBuf, span, tag};
use crate::storage::copy_out;
use crate::sync::Ordering;

/// The right to consume a ring buffer. Dropping it lets somebody else.
#[derive(Debug)]
pub struct Consumer<'a> {
    ring: &'a RingBuf,
    /// A copy of the record, since the record's own memory is given back to the producers.
    record: Vec<u8>,
}

impl<'a> Consumer<'a> {
    pub(crate) fn of(ring: &'a RingBuf) -> Result<Self, MapError> {
        match ring
            .consuming
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(Self {
                ring,
                record: Vec::new(),
            }),
            Err(_) => Err(MapError::ConsumerBusy),
        }
    }

    /// Consumes the next record and returns its data, or `None` when there is none, or it is still reserved.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](MapError::OutOfMemory) when there is none for a copy of the record, which then stays;
    /// [`RingCorrupt`](MapError::RingCorrupt) when somebody wrote over its header.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, MapError> {
        let end = self.ring.producer.load(Ordering::Acquire);
        self.next_before(end)
    }

    /// The same for records that start before `end`, a producer position of the past.
    pub(crate) fn next_before(&mut self, end: u64) -> Result<Option<&[u8]>, MapError> {
        loop {
            let position = self.ring.consumer.load(Ordering::Relaxed);
            if position >= end {
                return Ok(None);
            }
            let header = self
                .ring
                .header(position % self.ring.size)
                .load(Ordering::Acquire);
            // Reserved just now, and not even the header is written.
            if header == 0 {
                return Ok(None);
            }
            let low = header as u32;
            let len = low & !(BUSY | DISCARD);
            let fits = len <= self.ring.max_record && span(len) <= end - position;
            if header >> 32 << 32 != tag(position) || !fits {
                return Err(MapError::RingCorrupt { position });
            }
            if low & BUSY != 0 {
                return Ok(None);
            }
            if low & DISCARD == 0 {
                self.copy(position, len)?;
            }
            self.release(position, len);
            if low & DISCARD == 0 {
                return Ok(Some(&self.record));
            }
        }
    }

    fn copy(&mut self, position: u64, len: u32) -> Result<(), MapError> {
        self.record.clear();
        if self.record.try_reserve(len as usize).is_err() {
            return Err(MapError::OutOfMemory {
                bytes: u64::from(len),
            });
        }
        self.record.resize(len as usize, 0);
        let words = &self.ring.words;
        let first = ((position % self.ring.size + HEADER) / 8) as usize;
        copy_out(&mut self.record, |index| {
            words.word(first + index).load(Ordering::Relaxed)
        });
        Ok(())
    }

    /// Zeroes the record at `position` and gives its room back to the producers.
    fn release(&self, position: u64, len: u32) {
        let ring = self.ring;
        let first = (position % ring.size / 8) as usize;
        let words = (span(len) / 8) as usize;
        // Headers are never in the spill area, so that need not be zero.
        for index in first..(first + words).min((ring.size / 8) as usize) {
            ring.words.word(index).store(0, Ordering::Relaxed);
        }
        ring.consumer.store(position + span(len), Ordering::Release);
    }
}

impl Drop for Consumer<'_> {
    fn drop(&mut self) {
        self.ring.consuming.store(false, Ordering::Release);
    }
}
