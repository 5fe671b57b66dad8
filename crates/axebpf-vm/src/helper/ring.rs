//! The helpers for ring buffers.
#![allow(unsafe_code)]

use core::ptr::{NonNull, with_exposed_provenance_mut};

use axebpf_maps::{Map, RingBuf};

use super::call::{HelperFault, Helpers};
use super::each::NO_RING;
use super::map::errno;
use crate::errno::EINVAL;
use crate::memory::Reservation;

/// The flags of submit, discard and output: `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`, both without effect, since
/// nothing wakes anyone from a hit.
const WAKEUP_FLAGS: u64 = 0b11;

impl<'r> Helpers<'r> {
    fn ring(&self, value: u64) -> Result<(usize, Option<&'r RingBuf>), HelperFault> {
        let index = self.map_index(1, value)?;
        Ok((index, self.map_at(index).and_then(Map::ring)))
    }

    /// `bpf_ringbuf_output(ringbuf, data, size, flags)`.
    pub(super) fn ringbuf_output(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [map, data, size, flags, _] = args;
        let (_, ring) = self.ring(map)?;
        let Some(ring) = ring.filter(|_| flags & !WAKEUP_FLAGS == 0) else {
            return Ok(EINVAL);
        };
        self.charge(size)?;
        let data = self.memory.bytes(data, size)?;
        Ok(errno(ring.output(self.guard, &data)))
    }

    /// `bpf_ringbuf_reserve(ringbuf, size, flags)`: returns 0 when there is no room.
    pub(super) fn ringbuf_reserve(&mut self, args: [u64; 5]) -> Result<u64, HelperFault> {
        let [map, size, flags, ..] = args;
        let (map, ring) = self.ring(map)?;
        let ring = ring.filter(|_| flags == 0 && self.memory.can_hold_record());
        let Some(Ok(record)) = ring.map(|ring| ring.reserve(self.guard, size)) else {
            self.errors += 1;
            return Ok(0);
        };
        let addr = record.ptr.as_ptr().expose_provenance() as u64;
        let record = Reservation {
            map,
            addr,
            len: record.len.into(),
        };
        // SAFETY: the record was just reserved for this run and exposed; it is given back after the memory returned it
        // only.
        unsafe { self.memory.hold_record(record) };
        Ok(addr)
    }

    /// `bpf_ringbuf_submit(data, flags)`.
    pub(super) fn ringbuf_submit(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let (ring, data) = self.take_record(args[0])?;
        Ok(ring.map_or(EINVAL, |ring| errno(ring.submit(self.guard, data))))
    }

    /// `bpf_ringbuf_discard(data, flags)`.
    pub(super) fn ringbuf_discard(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let (ring, data) = self.take_record(args[0])?;
        Ok(ring.map_or(EINVAL, |ring| errno(ring.discard(self.guard, data))))
    }

    /// `bpf_ringbuf_query(ringbuf, flags)`: returns 0 for what is unknown.
    pub(super) fn ringbuf_query(&mut self, args: [u64; 5]) -> Result<u64, HelperFault> {
        const AVAIL_DATA: u64 = 0;
        const RING_SIZE: u64 = 1;
        const CONS_POS: u64 = 2;
        const PROD_POS: u64 = 3;
        let (_, ring) = self.ring(args[0])?;
        let Some(positions) = ring.map(RingBuf::positions) else {
            self.errors += 1;
            return Ok(0);
        };
        Ok(match args[1] {
            AVAIL_DATA => positions.available(),
            RING_SIZE => positions.size,
            CONS_POS => positions.consumer,
            PROD_POS => positions.producer,
            _ => 0,
        })
    }

    fn take_record(
        &mut self,
        addr: u64,
    ) -> Result<(Option<&'r RingBuf>, NonNull<u8>), HelperFault> {
        let fault = HelperFault::NotARecord { value: addr };
        let record = self.memory.take_record(addr).ok_or(fault)?;
        self.parts_of(record).ok_or(fault)
    }

    fn parts_of(&self, record: Reservation) -> Option<(Option<&'r RingBuf>, NonNull<u8>)> {
        let ring = self.map_at(record.map)?.ring();
        Some((
            ring,
            NonNull::new(with_exposed_provenance_mut(record.addr as usize))?,
        ))
    }

    /// Gives the records back that the program left behind, and counts them.
    pub(crate) fn discard_records(&mut self) {
        while let Some(record) = self.memory.take_any_record() {
            if record.map == NO_RING {
                continue;
            }
            if let Some((Some(ring), data)) = self.parts_of(record) {
                // The record is live, since it was still held, so that this cannot fail.
                let _ = ring.abandon(self.guard, data);
            }
            self.abandoned += 1;
        }
    }
}
