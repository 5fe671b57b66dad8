//! What a handler can find out about the guest.

use core::cell::OnceCell;

use axebpf_a64::PtRegs;
use axebpf_platform::GuestVirt;

use crate::deliver::is_kernel;
use crate::integration::{GuestMachine, GuestVcpu, SystemRegister};
use crate::{GuestMemory, Stage1, WalkFault};

/// The guest at a hit: its memory as the vCPU translates it, and which of its tasks runs.
///
/// Nothing here allocates, waits, or trusts the guest. What is not asked for costs nothing.
pub struct GuestContext<'a> {
    machine: &'a dyn GuestMachine,
    vcpu: &'a dyn GuestVcpu,
    stage1: OnceCell<Stage1>,
}

impl<'a> GuestContext<'a> {
    /// Takes a vCPU that has left the guest.
    pub(crate) fn of(machine: &'a dyn GuestMachine, vcpu: &'a dyn GuestVcpu) -> Self {
        Self {
            machine,
            vcpu,
            stage1: OnceCell::new(),
        }
    }

    /// Returns the virtual machine.
    pub(crate) fn machine(&self) -> &'a dyn GuestMachine {
        self.machine
    }

    /// Returns what `MAIR_EL1` says of the kinds of memory.
    pub(crate) fn memory_kinds(&self) -> u64 {
        self.vcpu.system_register(SystemRegister::MairEl1)
    }

    /// Returns how the vCPU translates addresses.
    #[must_use]
    pub fn stage1(&self) -> &Stage1 {
        self.stage1.get_or_init(|| self.vcpu.stage1())
    }

    /// Returns where the guest's current task is: `SP_EL0`, in which an arm64 Linux keeps it while its kernel runs.
    /// The first few instructions of each entry to the kernel have something else there.
    #[must_use]
    pub fn task(&self) -> GuestVirt {
        GuestVirt::new(self.vcpu.system_register(SystemRegister::SpEl0))
    }

    /// Copies `bytes.len()` bytes from the guest's virtual address `at`, of its kernel or of the program that runs.
    /// Reads memory alone, never a device.
    ///
    /// # Errors
    ///
    /// [`WalkFault`] for the first page that is not mapped or not there. `bytes` is then all zeroes.
    pub fn read(&self, at: GuestVirt, bytes: &mut [u8]) -> Result<(), WalkFault> {
        let memory: &dyn GuestMemory = self.machine;
        self.stage1().read(memory, at, bytes)
    }

    /// Reads the 32 bits at the guest's virtual address `at` as a number of its kernel, in the byte order of
    /// `SCTLR_EL1.EE` (ARM ARM B2.8.2). Reads memory alone, never a device.
    ///
    /// # Errors
    ///
    /// [`WalkFault`] if a page of it is not mapped or not there.
    pub fn read_u32(&self, at: GuestVirt) -> Result<u32, WalkFault> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(if self.stage1().is_big_endian() {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// Writes the addresses of the calls that led to `regs` to `trace`, innermost first, and returns how many they are.
    ///
    /// The first is the program counter itself. At the first instruction of a function the next is in the link
    /// register, which `entry` says; the others are found through the chain of frame pointers (AAPCS64 6.4.6),
    /// without authentication codes. The chain ends where it does not lead up the stack, so this ends too.
    pub fn stack(&self, regs: &PtRegs, entry: StackStart, trace: &mut [u64]) -> usize {
        let mut found = 0;
        let mut push = |address: u64| match trace.get_mut(found) {
            Some(slot) => {
                *slot = address;
                found += 1;
                true
            }
            None => false,
        };
        let mut goes_on = push(regs.pc);
        if entry == StackStart::FunctionEntry {
            goes_on &= push(self.plain(regs.return_address()));
        }
        let mut frame = regs.regs[29];
        while goes_on && let Some(record) = self.frame_record(frame, regs.pstate) {
            goes_on = push(self.plain(record.caller)) && record.next > frame;
            frame = record.next;
        }
        found
    }

    /// Reads the frame record at `frame` of code with the processor state `pstate`, if there is one that has a caller.
    fn frame_record(&self, frame: u64, pstate: u64) -> Option<FrameRecord> {
        let is_own = frame >> 55 & 1 == u64::from(is_kernel(pstate)) || !self.stage1().is_enabled();
        let mut record = [0; 16];
        if !is_own || !frame.is_multiple_of(8) {
            return None;
        }
        self.read(GuestVirt::new(frame), &mut record).ok()?;
        let [next, caller] = [0, 8].map(|at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&record[at..at + 8]);
            if self.stage1().is_big_endian() {
                u64::from_be_bytes(word)
            } else {
                u64::from_le_bytes(word)
            }
        });
        (caller != 0).then_some(FrameRecord { next, caller })
    }

    /// Returns a return address without its authentication code.
    fn plain(&self, address: u64) -> u64 {
        self.stage1()
            .without_authentication(GuestVirt::new(address))
            .get()
    }
}

/// What a function has saved of its caller (AAPCS64 6.4.6).
struct FrameRecord {
    /// Where the caller's frame record is.
    next: u64,
    /// Where the function returns to.
    caller: u64,
}

/// Where in a function a stack trace starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackStart {
    /// At its first instruction: there is no frame yet, and the link register is the caller's.
    FunctionEntry,
    /// Anywhere else.
    InFrame,
}

impl core::fmt::Debug for GuestContext<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GuestContext")
            .field("stage1", self.stage1())
            .field("task", &self.task())
            .finish_non_exhaustive()
    }
}
