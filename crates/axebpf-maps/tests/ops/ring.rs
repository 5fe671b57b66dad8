//! The model of a ring buffer.

use std::collections::VecDeque;
use std::ptr::NonNull;

use axebpf_maps::{Map, MapError, RingRecord};

use super::{Op, check_always};
use crate::support::{hit, store};

/// What became of a record that was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Reserved(RingRecord),
    Submitted,
    Discarded,
}

/// The records between consumer and producer, in order.
#[derive(Debug)]
pub(crate) struct Ring {
    records: VecDeque<(Fate, Vec<u8>)>,
    used: u64,
    dropped: u64,
    abandoned: u64,
}

const SIZE: u64 = 4096;

fn span(len: usize) -> u64 {
    8 + (len as u64).next_multiple_of(8)
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            records: VecDeque::new(),
            used: 0,
            dropped: 0,
            abandoned: 0,
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, len, fill, which]: Op) {
        // From empty to a little more than the largest.
        let len = usize::from(len) * 16 + usize::from(fill % 16);
        let data: Vec<_> = (0..len)
            .map(|index| fill.wrapping_add(index as u8))
            .collect();
        match what % 8 {
            0 | 1 => self.output(map, data),
            2 | 3 => self.reserve(map, data),
            4 => self.end(map, which, Fate::Submitted),
            5 => self.end(map, which, Fate::Discarded),
            6 => self.wild(map, fill, which),
            _ => self.consume(map),
        }
        check_always(map);
        self.check(map);
    }

    fn check(&self, map: &Map) {
        let stats = map.stats().ring.expect("it is a ring buffer");
        assert_eq!(
            (stats.dropped, stats.abandoned),
            (self.dropped, self.abandoned)
        );
        assert_eq!(
            (stats.positions.available(), stats.positions.size),
            (self.used, SIZE)
        );
    }

    /// Says whether there is room for `len` bytes.
    fn admit(&mut self, len: usize) -> Result<(), MapError> {
        let limit = SIZE as u32 - 8;
        let refusal = if len as u64 > u64::from(limit) {
            MapError::RecordTooLarge {
                len: len as u64,
                limit,
            }
        } else if self.used + span(len) > SIZE {
            MapError::RingFull { len: len as u32 }
        } else {
            self.used += span(len);
            return Ok(());
        };
        self.dropped += 1;
        Err(refusal)
    }

    fn output(&mut self, map: &Map, data: Vec<u8>) {
        let ring = map.ring().expect("it is a ring buffer");
        let admitted = self.admit(data.len());
        assert_eq!(ring.output(&hit(), &data), admitted);
        if admitted.is_ok() {
            self.records.push_back((Fate::Submitted, data));
        }
    }

    fn reserve(&mut self, map: &Map, data: Vec<u8>) {
        let ring = map.ring().expect("it is a ring buffer");
        match (
            ring.reserve(&hit(), data.len() as u64),
            self.admit(data.len()),
        ) {
            (Ok(record), Ok(())) => {
                assert_eq!(record.len as usize, data.len());
                assert!(record.ptr.addr().get().is_multiple_of(8));
                assert!(map.arena().allows(record.ptr.addr().get(), data.len()));
                store(record.ptr, 0, &data);
                self.records.push_back((Fate::Reserved(record), data));
            }
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    /// Ends one of the reservations.
    fn end(&mut self, map: &Map, which: u8, end: Fate) {
        let ring = map.ring().expect("it is a ring buffer");
        let reserved = |fate: &&mut (Fate, _)| matches!(fate.0, Fate::Reserved(_));
        let count = self.records.iter_mut().filter(reserved).count();
        let Some(chosen) = (which as usize).checked_rem(count) else {
            return;
        };
        let (fate, _) = self
            .records
            .iter_mut()
            .filter(reserved)
            .nth(chosen)
            .expect("chosen");
        let Fate::Reserved(RingRecord { ptr, .. }) = *fate else {
            return;
        };
        let guard = hit();
        let done = match end {
            Fate::Submitted => ring.submit(&guard, ptr),
            _ if which & 0x80 == 0 => ring.discard(&guard, ptr),
            _ => {
                self.abandoned += 1;
                ring.abandon(&guard, ptr)
            }
        };
        assert_eq!(done, Ok(()));
        let addr = ptr.addr().get();
        assert_eq!(
            ring.submit(&guard, ptr),
            Err(MapError::NotReserved { addr }),
            "it is over"
        );
        *fate = end;
    }

    /// Tries to end what is no reservation.
    fn wild(&self, map: &Map, high: u8, low: u8) {
        let addr = map
            .arena()
            .base
            .wrapping_add(usize::from(high) * 256 + usize::from(low) * 3);
        let known = |fate: &(Fate, _)| matches!(fate.0, Fate::Reserved(record) if record.ptr.addr().get() == addr);
        if let (Some(ptr), false) = (
            NonNull::new(addr as *mut u8),
            self.records.iter().any(known),
        ) {
            let ring = map.ring().expect("it is a ring buffer");
            assert_eq!(
                ring.submit(&hit(), ptr),
                Err(MapError::NotReserved { addr })
            );
            assert_eq!(
                ring.discard(&hit(), ptr),
                Err(MapError::NotReserved { addr })
            );
            assert_eq!(
                ring.abandon(&hit(), ptr),
                Err(MapError::NotReserved { addr })
            );
        }
    }

    fn consume(&mut self, map: &Map) {
        let ring = map.ring().expect("it is a ring buffer");
        let mut seen = Vec::new();
        let count = ring
            .consume(|record| seen.push(record.to_vec()))
            .expect("nobody else consumes");
        let mut expected = Vec::new();
        while let Some((fate, data)) = self
            .records
            .pop_front_if(|(fate, _)| !matches!(fate, Fate::Reserved(_)))
        {
            self.used -= span(data.len());
            if fate == Fate::Submitted {
                expected.push(data);
            }
        }
        assert_eq!(count, expected.len());
        assert_eq!(seen, expected);
    }
}
