//! A ring of records that one CPU writes during hits and one reader reads.
//!
//! Positions count words from the beginning of time. The writer moves `oldest` past what it is
//! about to overwrite, then writes, then moves `head`. The reader copies a record and then looks
//! whether `oldest` has passed it: if so, the copy may be torn and is thrown away. Both sides use
//! atomic words only, so a torn copy is a wrong copy and nothing worse.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// The words of one CPU's ring: 16 KiB.
pub(super) const RING_WORDS: usize = 2048;

/// The most words of one record, its header included.
pub(super) const RECORD_WORDS: usize = 128;

/// The bits of a header below the sequence number: they hold the record's length in words.
const LEN_BITS: u32 = 8;

/// The ring of one CPU.
pub(super) struct Ring {
    words: Box<[AtomicU64]>,
    /// Where the oldest whole record starts.
    oldest: AtomicU64,
    /// Where the next record will start.
    head: AtomicU64,
    /// How many records were written.
    written: AtomicU64,
}

impl Ring {
    /// Makes an empty ring; `None` without memory for it.
    pub(super) fn new() -> Option<Self> {
        let mut words = Vec::new();
        words.try_reserve_exact(RING_WORDS).ok()?;
        words.resize_with(RING_WORDS, || AtomicU64::new(0));
        Some(Self {
            words: words.into_boxed_slice(),
            oldest: AtomicU64::new(0),
            head: AtomicU64::new(0),
            written: AtomicU64::new(0),
        })
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        // The index is below the length of the slice, which is `RING_WORDS`.
        &self.words[(position % RING_WORDS as u64) as usize]
    }

    /// Writes a record of the first `len` words of `payload`, at most `RECORD_WORDS - 1`, over the
    /// oldest records if it must. Only the CPU that the ring belongs to calls this, and only in
    /// a hit, so that there is one writer at a time.
    pub(super) fn write(&self, len: usize, payload: impl Iterator<Item = u64>) {
        let len = (len + 1).min(RECORD_WORDS);
        let head = self.head.load(Ordering::Relaxed);
        self.make_room(head + len as u64);
        let sequence = self.written.load(Ordering::Relaxed);
        self.word(head)
            .store(sequence << LEN_BITS | len as u64, Ordering::Relaxed);
        for (position, word) in (head + 1..).zip(payload.take(len - 1)) {
            self.word(position).store(word, Ordering::Relaxed);
        }
        self.written.store(sequence + 1, Ordering::Relaxed);
        self.head.store(head + len as u64, Ordering::Release);
    }

    /// Gives up the oldest records until the ring can hold everything up to position `end`.
    fn make_room(&self, end: u64) {
        let mut oldest = self.oldest.load(Ordering::Relaxed);
        while end - oldest > RING_WORDS as u64 {
            oldest += len_of(self.word(oldest).load(Ordering::Relaxed)).max(1);
        }
        self.oldest.store(oldest, Ordering::Relaxed);
        // Whoever sees one of the words that are written after this also sees that `oldest` has
        // moved.
        fence(Ordering::Release);
    }

    /// Copies the record at or after `cursor` and moves the cursor behind it; `None` when there is
    /// no more.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Option<Vec<u64>> {
        loop {
            let head = self.head.load(Ordering::Acquire);
            let at = cursor.position.max(self.oldest.load(Ordering::Relaxed));
            if at >= head {
                return None;
            }
            let header = self.word(at).load(Ordering::Relaxed);
            let len = len_of(header).clamp(1, RECORD_WORDS as u64);
            let payload: Vec<u64> = (at + 1..at + len)
                .map(|p| self.word(p).load(Ordering::Relaxed))
                .collect();
            fence(Ordering::Acquire);
            if self.oldest.load(Ordering::Relaxed) > at {
                continue;
            }
            let sequence = header >> LEN_BITS;
            cursor.lost += sequence.saturating_sub(cursor.sequence);
            cursor.sequence = sequence + 1;
            cursor.position = at + len;
            return Some(payload);
        }
    }
}

fn len_of(header: u64) -> u64 {
    header & ((1 << LEN_BITS) - 1)
}

/// How far the reader has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    position: u64,
    /// The number of the record that comes next if none was overwritten.
    sequence: u64,
    lost: u64,
}

impl Cursor {
    /// Returns how many records were overwritten before they were read.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(ring: &Ring, words: &[u64]) {
        ring.write(words.len(), words.iter().copied());
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let (ring, mut cursor) = (Ring::new().unwrap(), Cursor::default());
        write(&ring, &[1, 2, 3]);
        write(&ring, &[]);
        write(&ring, &[4]);
        assert_eq!(ring.read(&mut cursor), Some(alloc::vec![1, 2, 3]));
        assert_eq!(ring.read(&mut cursor), Some(alloc::vec![]));
        assert_eq!(ring.read(&mut cursor), Some(alloc::vec![4]));
        assert_eq!(ring.read(&mut cursor), None);
        assert_eq!(cursor.lost, 0);
    }

    #[test]
    fn what_is_overwritten_is_counted() {
        let (ring, mut cursor) = (Ring::new().unwrap(), Cursor::default());
        let records = 3 * RING_WORDS as u64;
        for value in 0..records {
            write(&ring, &[value; 4]);
        }
        let mut expected = None;
        let mut read = 0;
        while let Some(words) = ring.read(&mut cursor) {
            assert_eq!(words, [words[0]; 4]);
            assert!(expected.is_none_or(|value| value == words[0]));
            expected = Some(words[0] + 1);
            read += 1;
        }
        assert_eq!(expected, Some(records));
        assert_eq!(cursor.lost + read, records);
        assert_eq!(read, RING_WORDS as u64 / 5);
    }

    #[test]
    fn a_reader_never_sees_a_torn_record() {
        let ring = Ring::new().unwrap();
        let rounds = 200_000u64;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 0..rounds {
                    let len = (value % 20) as usize;
                    ring.write(len, core::iter::repeat_n(value, len));
                }
            });
            let (mut cursor, mut read) = (Cursor::default(), 0);
            while cursor.sequence < rounds {
                let Some(words) = ring.read(&mut cursor) else {
                    continue;
                };
                let value = cursor.sequence - 1;
                assert_eq!(words, alloc::vec![value; (value % 20) as usize]);
                read += 1;
            }
            assert_eq!(read + cursor.lost, rounds);
        });
    }
}
