//! Reading the event buffer in the order of time.

use core::fmt;

use axebpf_hit::MAX_CPUS;
use axebpf_platform::CpuId;

use crate::event::Event;
use crate::field::{HEADER_LEN, MAX_RECORD_LEN, read_unsigned};
use crate::recorder::Recorder;
use crate::recorder::ring::{EntryHead, Found};
use crate::registry;

/// Reads the event buffer, the entries of all CPUs merged in the order of time.
///
/// Takes no lock, allocates nothing and changes nothing for others: any number of readers can be at work while events
/// are recorded, and after a panic.
#[derive(Debug)]
pub struct Reader<'r> {
    recorder: &'r Recorder,
    /// The position in the buffer of each CPU.
    positions: [u64; MAX_CPUS],
    /// The size of the buffer that the positions are meant for.
    size: usize,
    buffer: [u8; MAX_RECORD_LEN],
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
            positions: [0; MAX_CPUS],
            size: self.size(),
            buffer: [0; MAX_RECORD_LEN],
        }
    }

    /// Starts reading behind the newest entry: only what happens from now on.
    #[must_use]
    pub fn follow(&self) -> Reader<'_> {
        let mut reader = self.reader();
        for (position, ring) in reader.positions.iter_mut().zip(self.rings()) {
            *position = ring.end();
        }
        reader
    }

    /// Writes all entries to `out`, a line each: for the operator after a panic.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mut reader = self.reader();
        while let Some(entry) = reader.next_entry() {
            writeln!(out, "{entry}")?;
        }
        match self.lost() {
            0 => Ok(()),
            lost => writeln!(out, "({lost} lost)"),
        }
    }
}

impl Reader<'_> {
    /// Returns the oldest entry that this reader has not returned yet, or `None` when there is none now.
    ///
    /// Entries come in the order of time as far as they are in the buffer by then: one that a CPU records late can
    /// come after a newer one of another CPU. What is overwritten before it is read is skipped.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let size = self.recorder.size();
        if size != self.size {
            // The buffer was replaced; the new one starts over.
            self.positions = [0; MAX_CPUS];
            self.size = size;
        }
        let rings = self.recorder.rings();
        loop {
            let (index, head) = self.oldest()?;
            let position = self.positions.get_mut(index)?;
            *position = head.end();
            let ring = rings.get(index)?;
            if ring.copy(head, &mut self.buffer).is_some() {
                return Some(Entry {
                    cpu: CpuId::new(index as u32),
                    time_ns: head.time_ns,
                    record: &self.buffer[..head.len],
                });
            }
        }
    }

    /// Finds the oldest of the entries that come next on each CPU.
    fn oldest(&self) -> Option<(usize, EntryHead)> {
        let heads = self
            .recorder
            .rings()
            .iter()
            .zip(&self.positions)
            .map(|(ring, at)| ring.peek(*at));
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
