//! The event buffer of one CPU: written by that CPU in hits, read by anyone at any time without a
//! lock.
//!
//! Positions count words since the buffer was made and never wrap; a position's place is its
//! remainder by the size. Entries lie between `tail` and `head`. The writer moves `tail` past the
//! entries that it is about to overwrite before it overwrites them, so a reader that finds `tail`
//! not past its position after it has copied an entry has copied it whole.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::error::TpError;
use crate::field::{HEADER_LEN, MAX_RECORD_LEN};
use crate::recorder::Overflow;

/// How many words precede a record: one for its length in bytes and its number, and one for its
/// time.
const HEADER_WORDS: u64 = 2;

/// A buffer of words, a power of two of them.
#[derive(Debug)]
pub(super) struct Ring {
    words: Box<[AtomicU64]>,
    /// Where the next entry goes.
    head: AtomicU64,
    /// Where the oldest entry is.
    tail: AtomicU64,
    /// How many entries were overwritten before anyone cleared them, or not written for want of
    /// room.
    lost: AtomicU64,
    /// How many entries there were, those that were not written included.
    count: AtomicU64,
}

/// What a reader found at a position.
pub(super) enum Found {
    /// An entry, and the position behind it.
    Entry(EntryHead),
    /// Nothing yet.
    Nothing,
}

/// What precedes a record.
#[derive(Clone, Copy)]
pub(super) struct EntryHead {
    /// Where the entry is: at or after the position asked for.
    pub(super) at: u64,
    /// The length of the record in bytes.
    pub(super) len: usize,
    /// How many entries came before it, modulo 2^48.
    pub(super) number: u64,
    /// When it was written.
    pub(super) time_ns: u64,
}

impl EntryHead {
    /// Returns the position behind the entry.
    pub(super) const fn end(self) -> u64 {
        self.at + entry_words(self.len)
    }
}

/// How many bits of an entry's first word hold the length; the number has the others.
const LEN_BITS: u32 = 16;

/// The numbers of entries wrap here.
pub(super) const NUMBERS: u64 = 1 << (u64::BITS - LEN_BITS);

/// Packs the first word of an entry.
const fn pack(len: usize, number: u64) -> u64 {
    len as u64 | number << LEN_BITS
}

/// Takes the length out of the first word of an entry.
const fn len_of(first: u64) -> usize {
    (first & ((1 << LEN_BITS) - 1)) as usize
}

/// Returns how many words an entry takes.
const fn entry_words(len: usize) -> u64 {
    HEADER_WORDS + len.div_ceil(8) as u64
}

impl Ring {
    /// Makes a ring of so many words, a power of two.
    pub(super) fn new(words: usize) -> Result<Self, TpError> {
        let mut storage = Vec::new();
        storage
            .try_reserve_exact(words)
            .map_err(|_| TpError::OutOfMemory {
                bytes: words * size_of::<AtomicU64>(),
            })?;
        storage.resize_with(words, || AtomicU64::new(0));
        Ok(Self {
            words: storage.into_boxed_slice(),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            count: AtomicU64::new(0),
        })
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        // The size is a power of two, so the mask is exact.
        &self.words[position as usize & (self.words.len() - 1)]
    }

    /// Writes an entry. Only the CPU that owns the ring calls this, in a hit.
    pub(super) fn push(&self, time_ns: u64, record: &[u8], overflow: Overflow) {
        let need = entry_words(record.len());
        let head = self.head.load(Ordering::Relaxed);
        let number = self.count.load(Ordering::Relaxed);
        self.count.store(number.wrapping_add(1), Ordering::Relaxed);
        if !self.make_room(head + need, overflow) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.word(head)
            .store(pack(record.len(), number), Ordering::Relaxed);
        self.word(head + 1).store(time_ns, Ordering::Relaxed);
        // Records are a multiple of eight bytes long.
        let (words, _) = record.as_chunks();
        for (position, word) in (head + HEADER_WORDS..).zip(words) {
            self.word(position)
                .store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        self.head.store(head + need, Ordering::Release);
    }

    /// Moves the tail so that the ring can hold what ends at `end`, if the policy lets it.
    fn make_room(&self, end: u64, overflow: Overflow) -> bool {
        let size = self.words.len() as u64;
        let mut tail = self.tail.load(Ordering::Relaxed);
        if end - tail <= size {
            return true;
        }
        if overflow == Overflow::Discard {
            return false;
        }
        let mut overwritten = 0;
        while end - tail > size {
            let len = len_of(self.word(tail).load(Ordering::Relaxed));
            tail += entry_words(len);
            overwritten += 1;
        }
        self.lost.fetch_add(overwritten, Ordering::Relaxed);
        // `clear` may have moved it further meanwhile.
        self.tail.fetch_max(tail, Ordering::Relaxed);
        // Pairs with the fence in `is_whole`: who sees a word of the new entry sees the new tail.
        fence(Ordering::Release);
        true
    }

    /// Finds the oldest entry at or after `position`.
    pub(super) fn peek(&self, position: u64) -> Found {
        loop {
            let at = position.max(self.tail.load(Ordering::Acquire));
            if at >= self.head.load(Ordering::Acquire) {
                return Found::Nothing;
            }
            let first = self.word(at).load(Ordering::Relaxed);
            let time_ns = self.word(at + 1).load(Ordering::Relaxed);
            if self.is_whole(at) {
                let len = len_of(first).min(MAX_RECORD_LEN);
                return Found::Entry(EntryHead {
                    at,
                    len,
                    number: first >> LEN_BITS,
                    time_ns,
                });
            }
        }
    }

    /// Copies the record of an entry; `None` when it has been overwritten.
    pub(super) fn copy<'b>(
        &self,
        entry: EntryHead,
        buffer: &'b mut [u8; MAX_RECORD_LEN],
    ) -> Option<&'b [u8]> {
        let record = &mut buffer[..entry.len];
        let (words, _) = record.as_chunks_mut();
        for (position, word) in (entry.at + HEADER_WORDS..).zip(words) {
            *word = self.word(position).load(Ordering::Relaxed).to_ne_bytes();
        }
        self.is_whole(entry.at).then_some(record)
    }

    /// Tells whether what was just read at `position` has not been overwritten meanwhile.
    fn is_whole(&self, position: u64) -> bool {
        fence(Ordering::Acquire);
        self.tail.load(Ordering::Relaxed) <= position
    }

    /// Forgets all entries.
    pub(super) fn clear(&self) {
        self.tail
            .fetch_max(self.head.load(Ordering::Acquire), Ordering::Relaxed);
        self.lost.store(0, Ordering::Relaxed);
    }

    /// Returns where the next entry goes.
    pub(super) fn end(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Returns how many entries it can hold if they are as small as can be.
    pub(super) fn most_entries(&self) -> usize {
        self.words.len() / entry_words(HEADER_LEN) as usize
    }

    /// Returns the number of the next entry.
    pub(super) fn next_number(&self) -> u64 {
        self.count.load(Ordering::Relaxed) % NUMBERS
    }

    /// Counts the entries that were lost since the ring was last cleared.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
