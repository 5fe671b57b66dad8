//! What programs print.
//!
//! `bpf_trace_printk` records the format and the binary arguments; the reader makes text of them.

mod record;
mod ring;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use axebpf_hit::HitGuard;
use axebpf_platform::CpuId;
use axebpf_vm::{AddressNames, PrintkFull, PrintkRecord, PrintkSink};

use self::{
    record::{Head, Message},
    ring::{Cursor, RING_WORDS, Ring},
};
use crate::{Error, Origin, ProgramId, Registry, lock::ManagementLock};

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
    /// Whose code it was attached to, and so whose its addresses are.
    pub origin: Origin,
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

    /// Takes the oldest message of those that come next on each CPU.
    fn next(&self) -> Result<Option<Message>, Error> {
        let mut cursors = self.cursors.lock()?;
        let mut oldest: Option<(usize, Cursor, Message)> = None;
        for (cpu, ring) in self.rings.iter().enumerate() {
            let mut cursor = cursors[cpu].clone();
            let Some(words) = ring.read(&mut cursor) else {
                continue;
            };
            let Some(message) = Message::decode(CpuId::new(cpu as u32), &words) else {
                continue;
            };
            if oldest
                .as_ref()
                .is_none_or(|(_, _, found)| message.time_ns < found.time_ns)
            {
                oldest = Some((cpu, cursor, message));
            }
        }
        Ok(oldest.map(|(cpu, cursor, message)| {
            cursors[cpu] = cursor;
            message
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
        self.next_line(None)
    }

    /// Takes the oldest line, as [`next_printk`](Self::next_printk), with names in the place of `%ps`, `%pS` and `%pB`.
    ///
    /// They are `names` where the program was attached to the hypervisor. Where it was attached to a guest, they are
    /// those of the guest's kernel, which `next_printk` has too, as far as they are known when this is called.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn next_printk_with(&self, names: &dyn AddressNames) -> Result<Option<PrintkLine>, Error> {
        self.next_line(Some(names))
    }

    fn next_line(&self, names: Option<&dyn AddressNames>) -> Result<Option<PrintkLine>, Error> {
        let Some(message) = self.printk.next()? else {
            return Ok(None);
        };
        Ok(Some(match message.origin {
            Origin::Hypervisor => message.line(names),
            #[cfg(feature = "guest-kprobe")]
            Origin::Guest(vm) => match self.placed_symbols(vm)? {
                Some(symbols) => message.line(Some(&crate::names::Names(&*symbols))),
                None => message.line(None),
            },
            #[cfg(not(feature = "guest-kprobe"))]
            Origin::Guest(_) => message.line(None),
        }))
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

/// Where the messages of one link's program go.
pub(crate) struct ProgramPrintk {
    pub(crate) printk: Arc<Printk>,
    pub(crate) program: ProgramId,
    pub(crate) origin: Origin,
}

impl PrintkSink for ProgramPrintk {
    fn record(&self, guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        let ring = self
            .printk
            .rings
            .get(guard.cpu().index())
            .ok_or(PrintkFull)?;
        let time_ns = guard.platform().now_ns();
        let head = Head {
            time_ns,
            program: self.program,
            origin: self.origin,
        };
        record::encode(ring, &head, &record);
        Ok(())
    }
}
