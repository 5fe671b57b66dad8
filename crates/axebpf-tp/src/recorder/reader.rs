//! Reading the event buffer in the order of time.

use core::fmt;

use axebpf_hit::MAX_CPUS;
use axebpf_platform::CpuId;

use crate::event::Event;
use crate::field::{HEADER_LEN, MAX_RECORD_LEN, read_unsigned};
use crate::recorder::Recorder;
use crate::recorder::ring::{EntryHead, Found, NUMBERS};
use crate::registry;

/// Reads the event buffer, the entries of all CPUs merged in the order of time.
///
/// Takes no lock, allocates nothing and changes nothing for others: any number of readers can be at
/// work while events are recorded, and after a panic.
#[derive(Debug)]
pub struct Reader<'r> {
    recorder: &'r Recorder,
    /// Where it is in the buffer of each CPU.
    cursors: [Cursor; MAX_CPUS],
    missed: u64,
    /// The size of the buffer that the positions are meant for.
    size: usize,
    buffer: [u8; MAX_RECORD_LEN],
}

/// Where a reader is in the buffer of one CPU.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    position: u64,
    /// The number of the entry that comes next, once that is known.
    number: Option<u64>,
}

impl Cursor {
    const OLDEST: Self = Self {
        position: 0,
        number: None,
    };

    /// Goes on behind an entry, and returns how many were skipped before it.
    fn pass(&mut self, entry: EntryHead) -> u64 {
        let expected = self.number.unwrap_or(entry.number);
        self.position = entry.end();
        self.number = Some((entry.number + 1) % NUMBERS);
        entry.number.wrapping_sub(expected) % NUMBERS
    }
}

/// One recorded firing.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The CPU on which it happened.
    pub cpu: CpuId,
    /// When, in nanoseconds since the machine started.
    pub time_ns: u64,
    /// The record.
    pub record: &'a [u8],
}

impl Recorder {
    /// Starts reading at the oldest entry.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            recorder: self,
            cursors: [Cursor::OLDEST; MAX_CPUS],
            missed: 0,
            size: self.size(),
            buffer: [0; MAX_RECORD_LEN],
        }
    }

    /// Starts reading behind the newest entry: only what happens from now on.
    #[must_use]
    pub fn follow(&self) -> Reader<'_> {
        let mut reader = self.reader();
        for (cursor, ring) in reader.cursors.iter_mut().zip(self.rings()) {
            let (position, number) = (ring.end(), Some(ring.next_number()));
            *cursor = Cursor { position, number };
        }
        reader
    }

    /// Writes all entries to `out`, a line each: for the operator after a panic.
    ///
    /// Ends even if other CPUs go on recording: after as many entries as there can be at a time.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mut reader = self.reader();
        let most: usize = self.rings().iter().map(|ring| ring.most_entries()).sum();
        for _ in 0..most {
            let Some(entry) = reader.next_entry() else {
                break;
            };
            writeln!(out, "{entry}")?;
        }
        match self.lost() {
            0 => Ok(()),
            lost => writeln!(out, "({lost} lost)"),
        }
    }
}

impl Reader<'_> {
    /// Returns the oldest entry that this reader has not returned yet, or `None` when there is none
    /// now.
    ///
    /// Entries come in the order of time as far as they are in the buffer by then: one that a CPU
    /// records late can come after a newer one of another CPU. What is overwritten before it is
    /// read is skipped.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let size = self.recorder.size();
        if size != self.size {
            // The buffer was replaced; the new one starts over.
            self.cursors = [Cursor::OLDEST; MAX_CPUS];
            self.size = size;
        }
        let rings = self.recorder.rings();
        loop {
            let (index, head) = self.oldest()?;
            self.missed += self.cursors.get_mut(index)?.pass(head);
            let ring = rings.get(index)?;
            if ring.copy(head, &mut self.buffer).is_some() {
                return Some(Entry {
                    cpu: CpuId::new(index as u32),
                    time_ns: head.time_ns,
                    record: &self.buffer[..head.len],
                });
            }
            // Overwritten while it was copied.
            self.missed += 1;
        }
    }

    /// Counts the entries that this reader did not get, although they came after the first that it
    /// did: overwritten before it read them, discarded, or cleared.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Finds the oldest of the entries that come next on each CPU.
    fn oldest(&self) -> Option<(usize, EntryHead)> {
        let heads = self
            .recorder
            .rings()
            .iter()
            .zip(&self.cursors)
            .map(|(ring, cursor)| ring.peek(cursor.position));
        let heads = heads.enumerate().filter_map(|(index, found)| match found {
            Found::Entry(head) => Some((index, head)),
            Found::Nothing => None,
        });
        heads.min_by_key(|(_, head)| head.time_ns)
    }
}

impl<'a> Entry<'a> {
    /// Returns the event that fired, or `None` when no event has the record's number.
    #[must_use]
    pub fn event(&self) -> Option<&'static Event> {
        registry::find_by_id(read_unsigned(self.record.get(..2)?) as u16)
    }
}

impl fmt::Display for Entry<'_> {
    /// Writes `[CPU] SECONDS.MICROSECONDS: EVENT: FIELDS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.time_ns / 1000;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        write!(f, "[{:03}] {seconds:5}.{micros:06}: ", self.cpu.get())?;
        match self.event() {
            Some(event) => {
                write!(f, "{}: ", event.full_name())?;
                event.print(self.record, f)
            }
            None => write!(
                f,
                "unknown event, {} bytes",
                self.record.len().max(HEADER_LEN)
            ),
        }
    }
}
