//! What programs print.
//!
//! `bpf_trace_printk` records the format and the binary arguments; the reader makes text of them.

mod record;
mod ring;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use axebpf_hit::HitGuard;
use axebpf_platform::CpuId;
use axebpf_vm::{PrintkFull, PrintkRecord, PrintkSink};

use self::ring::{Cursor, Ring};
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

/// Lines that programs printed, and how many are missing among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrintkLines {
    /// The lines, in the order of their times.
    pub lines: Vec<PrintkLine>,
    /// How many lines were overwritten before anybody read them, since the registry was made.
    pub lost: u64,
}

/// The lines of all CPUs.
pub(crate) struct Printk {
    rings: Box<[Ring]>,
    /// How far the reader has come on each CPU. A hit never takes this lock.
    cursors: ManagementLock<Vec<Cursor>>,
}

impl Printk {
    pub(crate) fn new(cpus: u32) -> Self {
        Self {
            rings: (0..cpus).map(|_| Ring::new()).collect(),
            cursors: ManagementLock::new((0..cpus).map(|_| Cursor::default()).collect()),
        }
    }

    fn take(&self) -> Result<PrintkLines, Error> {
        let mut cursors = self.cursors.lock()?;
        let mut taken = PrintkLines::default();
        for ((cpu, ring), cursor) in (0..).map(CpuId::new).zip(&self.rings).zip(cursors.iter_mut()) {
            // What is printed from now on can wait for the next call, or this one might never end.
            let end = ring.written();
            while cursor.sequence() < end
                && let Some(words) = ring.read(cursor)
            {
                taken.lines.extend(record::decode(cpu, &words));
            }
            taken.lost += cursor.lost();
        }
        taken.lines.sort_by_key(|line| (line.time_ns, line.cpu));
        Ok(taken)
    }
}

impl Registry {
    /// Takes the lines that programs printed since the last call, oldest first. Each line is taken once.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn take_printk(&self) -> Result<PrintkLines, Error> {
        self.printk.take()
    }
}

/// Where the messages of one program go.
pub(crate) struct ProgramPrintk {
    pub(crate) printk: Arc<Printk>,
    pub(crate) program: ProgramId,
}

impl PrintkSink for ProgramPrintk {
    fn record(&self, guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        let ring = self.printk.rings.get(guard.cpu().index()).ok_or(PrintkFull)?;
        let time_ns = guard.platform().now_ns();
        record::encode(ring, time_ns, self.program, &record);
        Ok(())
    }
}
