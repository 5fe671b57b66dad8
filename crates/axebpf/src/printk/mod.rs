//! What programs print.
//!
//! `bpf_trace_printk` records the format and the binary arguments; the reader makes text of them.

mod record;
mod ring;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use axebpf_hit::HitGuard;
use axebpf_platform::CpuId;
use axebpf_vm::{AddressNames, PrintkFull, PrintkRecord, PrintkSink};

use self::ring::{Cursor, RING_WORDS, Ring};
use crate::{Error, ProgramId, Registry, lock::ManagementLock};

/// One line that a program printed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrintkLine {
    /// When, in nanoseconds of the platform's clock.
    pub time_ns: u64,
    /// On which CPU.
    pub cpu: CpuId,
    /// By which program, which may be unloaded by now.
    pub program: ProgramId,
    /// The line, without its end.
    pub text: String,
}

/// The lines of all CPUs.
pub(crate) struct Printk {
    rings: Box<[Ring]>,
    /// How far the reader has come on each CPU. A hit never takes this lock.
    cursors: ManagementLock<Vec<Cursor>>,
}

impl Printk {
    /// Makes rings for so many CPUs.
    pub(crate) fn new(cpus: u32) -> Result<Self, Error> {
        let bytes = cpus as usize * RING_WORDS * size_of::<u64>();
        let rings: Option<Box<[Ring]>> = (0..cpus).map(|_| Ring::new()).collect();
        Ok(Self {
            rings: rings.ok_or(Error::OutOfMemory { bytes })?,
            cursors: ManagementLock::new((0..cpus).map(|_| Cursor::default()).collect()),
        })
    }

    /// Takes the oldest line of those that come next on each CPU.
    fn next(&self, names: Option<&dyn AddressNames>) -> Result<Option<PrintkLine>, Error> {
        let mut cursors = self.cursors.lock()?;
        let mut oldest: Option<(usize, Cursor, PrintkLine)> = None;
        for (cpu, ring) in self.rings.iter().enumerate() {
            let mut cursor = cursors[cpu].clone();
            let Some(words) = ring.read(&mut cursor) else {
                continue;
            };
            let Some(line) = record::decode(CpuId::new(cpu as u32), &words, names) else {
                continue;
            };
            if oldest
                .as_ref()
                .is_none_or(|(_, _, found)| line.time_ns < found.time_ns)
            {
                oldest = Some((cpu, cursor, line));
            }
        }
        Ok(oldest.map(|(cpu, cursor, line)| {
            cursors[cpu] = cursor;
            line
        }))
    }

    fn lost(&self) -> Result<u64, Error> {
        Ok(self.cursors.lock()?.iter().map(Cursor::lost).sum())
    }
}

impl Registry {
    /// Takes the oldest line that programs printed and nobody took yet.
    ///
    /// Lines come in the order of time as far as they are there by now: one that a CPU prints late
    /// can come after a newer one of another CPU.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn next_printk(&self) -> Result<Option<PrintkLine>, Error> {
        self.printk.next(None)
    }

    /// Takes the oldest line, as [`next_printk`](Self::next_printk), with names in the place of
    /// `%ps`, `%pS` and `%pB`.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn next_printk_with(&self, names: &dyn AddressNames) -> Result<Option<PrintkLine>, Error> {
        self.printk.next(Some(names))
    }

    /// Counts the lines that were overwritten before anybody took them, as far as lines after them
    /// were taken.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn lost_printk(&self) -> Result<u64, Error> {
        self.printk.lost()
    }
}

/// Where the messages of one program go.
pub(crate) struct ProgramPrintk {
    pub(crate) printk: Arc<Printk>,
    pub(crate) program: ProgramId,
}

impl PrintkSink for ProgramPrintk {
    fn record(&self, guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        let ring = self
            .printk
            .rings
            .get(guard.cpu().index())
            .ok_or(PrintkFull)?;
        let time_ns = guard.platform().now_ns();
        record::encode(ring, time_ns, self.program, &record);
        Ok(())
    }
}
