//! The memory of a guest as one of its instructions sees it.
//!
//! A simulated access is one of EL2's own, so it is right only where the guest's own access would do the same and no
//! more. [`KernelMemory::plain`] is the one place that decides that. Everything else is an [`Obstacle`]: the guest
//! executes the instruction itself, in a step, or where there are no steps takes the fault that its own tables name.

use axebpf_a64::{Memory, MemoryFault, SimulateError};
use axebpf_platform::{GuestPhys, GuestVirt};
use spin::Mutex;

use super::page::{PAGE_SIZE, page_of};
use super::point::Armed;
use crate::deliver::Exception;
use crate::descriptor::Attributes;
use crate::{Access, GuestContext, Stage1, Translation, WalkProblem};

/// `PSTATE.PAN`.
const PAN: u64 = 1 << 22;
/// `PSTATE.TCO`.
const TCO: u64 = 1 << 25;
/// `SCTLR_EL1.M`: addresses are translated.
const M: u64 = 1;
/// `SCTLR_EL1.C`: data is cached.
const C: u64 = 1 << 2;
/// `SCTLR_EL1.SA`: the alignment of the stack pointer is checked.
const SA: u64 = 1 << 3;
/// `SCTLR_EL1.EE`: data is big-endian.
const EE: u64 = 1 << 25;
/// `SCTLR_EL1.TCF`: what happens when a tag does not fit.
const TCF: u64 = 0b11 << 40;
/// `SCTLR_EL1.EPAN`: `PAN` holds for what programs may execute, too.
const EPAN: u64 = 1 << 57;
/// `TCR_EL1.HD`: the processor makes pages writable that it may.
const HD: u64 = 1 << 40;
/// `TCR_EL1.MTX0` and `MTX1`: tags are checked in memory that has none.
const MTX: u64 = 0b11 << 60;
/// What `MAIR_EL1` says of memory with tags, which is write-back (ARM ARM D24.2.109).
const TAGGED: u64 = 0xf0;

/// Access with the rights of the guest's kernel.
pub(super) struct KernelMemory<'a> {
    guest: &'a GuestContext<'a>,
    pstate: u64,
    /// Pages that the guest must not write behind the probes' back.
    armed: &'a Armed,
    /// Held while text or mappings change.
    text: &'a Mutex<()>,
    /// Why the last access was not done.
    obstacle: Option<Obstacle>,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// Why an access is not simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The guest's own access ends in this data abort.
    Fault(Exception),
    /// The guest's own access is not known to be a plain one, or its memory is not there at present.
    NotPlain,
}

/// One part of an access, in one page.
#[derive(Clone, Copy)]
struct Piece {
    at: GuestPhys,
    len: usize,
}

impl<'a> KernelMemory<'a> {
    /// Takes what a guest has now, with the processor state `pstate`.
    pub(super) fn of(
        guest: &'a GuestContext<'a>,
        pstate: u64,
        armed: &'a Armed,
        text: &'a Mutex<()>,
    ) -> Self {
        Self {
            guest,
            pstate,
            armed,
            text,
            obstacle: None,
        }
    }

    fn stage1(&self) -> &Stage1 {
        self.guest.stage1()
    }

    /// Translates an address at which the guest's own access is a plain one: it reads or writes its memory, through
    /// the caches, in the byte order of this code, and nothing else happens.
    ///
    /// Reading a page with probes is that, because what is read is what the guest has there. What is written has to be
    /// noticed, also where a page is just about to get probes.
    fn plain(&self, addr: u64, direction: Direction) -> Result<Translation, Obstacle> {
        if self.stage1().sctlr & (M | C | EE) != M | C {
            return Err(Obstacle::NotPlain);
        }
        let found = self
            .stage1()
            .translate(self.guest.machine(), GuestVirt::new(addr), Access::Data)
            .map_err(|fault| obstacle_of(addr, direction, fault.problem))?;
        let is_denied = direction == Direction::Write && !found.rights.privileged_write();
        let may_be_dirtied = found.attributes.is_dirty_managed() && self.stage1().tcr & HD != 0;
        let is_guarded = self.pstate & PAN != 0 && found.rights.user_read();
        if is_denied && !may_be_dirtied || is_guarded {
            return Err(fault(addr, direction, on_level(PERMISSION, found.level)));
        }
        let is_noticed = direction == Direction::Write && self.is_noticed(found.at);
        if is_denied || is_noticed || !self.is_plain_page(found.attributes) {
            return Err(Obstacle::NotPlain);
        }
        Ok(found)
    }

    /// Tells whether what is written at `at` has to be noticed by the probes, as a fault of stage 2.
    fn is_noticed(&self, at: GuestPhys) -> bool {
        let page = self.armed.page(page_of(at));
        self.text.is_locked() || page.is_some_and(|page| page.shadow.is_some())
    }

    /// Tells whether accesses to a page leave its descriptor alone, are not limited by features that the walker does
    /// not know, and go to memory that is cached as this code caches it.
    fn is_plain_page(&self, page: Attributes) -> bool {
        let is_of_programs =
            page.names_user() || self.stage1().sctlr & EPAN != 0 && page.names_user_execute();
        let is_guarded = self.pstate & PAN != 0 && is_of_programs;
        page.is_accessed() && !is_guarded && self.is_write_back(page.memory_type())
    }

    /// Tells whether byte `index` of `MAIR_EL1` describes memory that is cached as this code caches it, and whose tags
    /// are not checked.
    fn is_write_back(&self, index: u32) -> bool {
        let kind = self.guest.memory_kinds() >> (8 * index) & 0xff;
        // Write-back, transient or not, with at least one kind of allocation.
        let caches = |half: u64| half & 0b0100 != 0 && half & 0b0011 != 0;
        let checks_tags = self.stage1().sctlr & TCF != 0 && self.pstate & TCO == 0;
        let has_tags = kind == TAGGED || self.stage1().tcr & MTX != 0;
        (kind == TAGGED || caches(kind >> 4) && caches(kind & 0xf)) && !(checks_tags && has_tags)
    }

    /// Translates an access of up to 16 bytes into one or two pieces, of which the second may be empty.
    ///
    /// Its registers are of 8 bytes at most. An access that is not aligned to them may be refused (`SCTLR_EL1.A`), and
    /// how much of it is done at once depends on the processor, so it is left to that.
    fn pieces(&self, addr: u64, len: usize, direction: Direction) -> Result<[Piece; 2], Obstacle> {
        if !addr.is_multiple_of(len.min(8) as u64) {
            return Err(Obstacle::NotPlain);
        }
        let first = self.plain(addr, direction)?;
        // What stage 1 maps in one piece need not be one for stage 2, nor for probes.
        let in_page = PAGE_SIZE - first.at.get() % PAGE_SIZE;
        let contiguous = first.contiguous.min(in_page);
        let in_first = usize::try_from(contiguous).map_or(len, |n| n.min(len));
        let second = if in_first < len {
            self.plain(addr.wrapping_add(in_first as u64), direction)?
        } else {
            first
        };
        Ok([(first, in_first), (second, len - in_first)]
            .map(|(found, len)| Piece { at: found.at, len }))
    }

    /// Reads up to 16 bytes, or finds out whether they could be.
    fn try_read(&self, pieces: [Piece; 2], bytes: &mut [u8]) -> Result<(), Obstacle> {
        let mut done = 0;
        for Piece { at, len } in pieces.into_iter().filter(|piece| piece.len > 0) {
            // Where there is no memory now, there may be some when the guest's own access comes to EL2.
            self.guest
                .machine()
                .read_guest(at, &mut bytes[done..done + len])
                .map_err(|_| Obstacle::NotPlain)?;
            done += len;
        }
        Ok(())
    }

    fn try_write(&self, addr: u64, bytes: &[u8]) -> Result<(), Obstacle> {
        let machine = self
            .guest
            .machine()
            .write_guest()
            .ok_or(Obstacle::NotPlain)?;
        let pieces = self.pieces(addr, bytes.len(), Direction::Write)?;
        if pieces[1].len > 0 {
            // That the second page is not there has to be noticed before anything is written.
            self.try_read(pieces, &mut [0; 16])?;
        }
        let mut done = 0;
        for Piece { at, len } in pieces.into_iter().filter(|piece| piece.len > 0) {
            machine
                .write_guest(at, &bytes[done..done + len])
                .map_err(|_| Obstacle::NotPlain)?;
            done += len;
        }
        Ok(())
    }

    /// Remembers why an access to `addr` was not done.
    fn noted(&mut self, addr: u64, result: Result<(), Obstacle>) -> Result<(), MemoryFault> {
        self.obstacle = result.err();
        result.map_err(|_| MemoryFault { addr })
    }

    /// Returns the exception in which an instruction of the guest's kernel ends that could not be simulated because of
    /// `error`, or `None` if it is not known to end in one.
    pub(super) fn exception_of(&self, error: &SimulateError) -> Option<Exception> {
        let exception = |class: u64, iss: u64| Exception {
            esr: class << 26 | IL | iss,
            far: None,
        };
        match (error, self.obstacle) {
            (SimulateError::StackAlignment { .. }, _) if self.stage1().sctlr & SA != 0 => {
                Some(exception(SP_ALIGNMENT, 0))
            }
            (SimulateError::BranchTarget { btype }, _) => {
                Some(exception(BRANCH_TARGET, u64::from(*btype)))
            }
            (SimulateError::Memory(_), Some(Obstacle::Fault(exception))) => Some(exception),
            _ => None,
        }
    }
}

impl Memory for KernelMemory<'_> {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        let result = self
            .pieces(addr, bytes.len(), Direction::Read)
            .and_then(|pieces| self.try_read(pieces, bytes));
        self.noted(addr, result)
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        let result = self.try_write(addr, bytes);
        self.noted(addr, result)
    }
}

// Exception classes for exceptions from EL1 to EL1 (ARM ARM D24.2.40).
const DATA_ABORT: u64 = 0x25;
const SP_ALIGNMENT: u64 = 0x26;
const BRANCH_TARGET: u64 = 0x0d;
const IL: u64 = 1 << 25;
const WNR: u64 = 1 << 6;

/// A kind of fault status: for level 0, with higher levels in the low two bits, and for level -1.
type Status = (u64, u64);
const ADDRESS_SIZE: Status = (0b00_0000, 0b10_1001);
const TRANSLATION: Status = (0b00_0100, 0b10_1011);
const ACCESS_FLAG: Status = (0b00_1000, 0b00_1000);
const PERMISSION: Status = (0b00_1100, 0b00_1100);

/// Returns the fault status for `level`.
fn on_level((zero, minus_one): Status, level: i8) -> u64 {
    u64::try_from(level).map_or(minus_one, |level| zero | level)
}

/// Returns the data abort of an access to `addr` with this fault status.
fn fault(addr: u64, direction: Direction, status: u64) -> Obstacle {
    let wnr = match direction {
        Direction::Write => WNR,
        Direction::Read => 0,
    };
    Obstacle::Fault(Exception {
        esr: DATA_ABORT << 26 | IL | wnr | status,
        far: Some(addr),
    })
}

/// Returns what an access to `addr` comes to, for which the guest's tables say no more than `problem`.
fn obstacle_of(addr: u64, direction: Direction, problem: WalkProblem) -> Obstacle {
    let status = match problem {
        WalkProblem::Invalid { level } | WalkProblem::Reserved { level, .. } => {
            on_level(TRANSLATION, level)
        }
        WalkProblem::AccessFlag { level } => on_level(ACCESS_FLAG, level),
        WalkProblem::AddressSize { level, .. } => on_level(ADDRESS_SIZE, level),
        WalkProblem::OutOfRange | WalkProblem::Disabled => on_level(TRANSLATION, 0),
        // A table may be there when the processor wants it; and what the guest asks for there may be known to that.
        WalkProblem::Table { .. }
        | WalkProblem::Memory { .. }
        | WalkProblem::Unsupported { .. } => {
            return Obstacle::NotPlain;
        }
    };
    fault(addr, direction, status)
}
