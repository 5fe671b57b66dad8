//! The memory of a guest as one of its instructions sees it.

use axebpf_a64::{Memory, MemoryFault, SimulateError};
use axebpf_platform::{GuestPhys, GuestVirt};

use super::page::page_of;
use super::point::Armed;
use crate::deliver::Exception;
use crate::integration::GuestMachine;
use crate::{Access, Stage1, Translation, WalkProblem};

/// `PSTATE.PAN`.
const PAN: u64 = 1 << 22;

/// Access with the rights of the guest's kernel.
pub(super) struct KernelMemory<'a> {
    pub(super) machine: &'a dyn GuestMachine,
    pub(super) stage1: Stage1,
    pub(super) pstate: u64,
    /// Pages that the guest must not reach behind the probes' back.
    pub(super) armed: &'a Armed,
    /// What the last access wanted.
    pub(super) last: Direction,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl KernelMemory<'_> {
    /// Translates one address of an access. Fails wherever the guest's own access would, and in some more cases.
    fn translate(&self, addr: u64, direction: Direction) -> Option<Translation> {
        let found = self
            .stage1
            .translate(self.machine, GuestVirt::new(addr), Access::Data)
            .ok()?;
        let is_allowed = match direction {
            Direction::Read => true,
            Direction::Write => found.rights.privileged_write(),
        };
        let is_forbidden = self.pstate & PAN != 0 && found.rights.user_read();
        let is_ours = self.armed.page(page_of(found.at)).is_some();
        (is_allowed && !is_forbidden && !is_ours).then_some(found)
    }

    /// Translates an access of up to 16 bytes into one or two pieces: where each is, and how many bytes the first has.
    fn pieces(
        &self,
        addr: u64,
        len: usize,
        direction: Direction,
    ) -> Result<[(GuestPhys, usize); 2], MemoryFault> {
        let fault = |addr| MemoryFault { addr };
        let first = self.translate(addr, direction).ok_or(fault(addr))?;
        let in_first = usize::try_from(first.contiguous).map_or(len, |n| n.min(len));
        let mut pieces = [(first.at, in_first), (first.at, 0)];
        if in_first < len {
            let next = addr.wrapping_add(in_first as u64);
            let second = self.translate(next, direction).ok_or(fault(next))?;
            pieces[1] = (second.at, len - in_first);
        }
        Ok(pieces)
    }
}

impl Memory for KernelMemory<'_> {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        self.last = Direction::Read;
        let mut done = 0;
        for (at, len) in self.pieces(addr, bytes.len(), Direction::Read)? {
            if len > 0 {
                self.machine
                    .read_guest(at, &mut bytes[done..done + len])
                    .map_err(|_| MemoryFault { addr })?;
            }
            done += len;
        }
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.last = Direction::Write;
        let fault = MemoryFault { addr };
        let machine = self.machine.write_guest().ok_or(fault)?;
        let pieces = self.pieces(addr, bytes.len(), Direction::Write)?;
        // Written last piece first would be as good; what counts is that a missing second page is noticed before
        // anything is written, which reading it does.
        for (at, len) in pieces {
            let mut old = [0; 16];
            self.machine
                .read_guest(at, &mut old[..len])
                .map_err(|_| fault)?;
        }
        let mut done = 0;
        for (at, len) in pieces {
            if len > 0 {
                machine
                    .write_guest(at, &bytes[done..done + len])
                    .map_err(|_| fault)?;
            }
            done += len;
        }
        Ok(())
    }
}

// Exception classes for exceptions from EL1 to EL1, and fault status codes (ARM ARM D24.2.40).
const DATA_ABORT: u64 = 0x25;
const SP_ALIGNMENT: u64 = 0x26;
const BRANCH_TARGET: u64 = 0x0d;
const IL: u64 = 1 << 25;
const WNR: u64 = 1 << 6;
const EXTERNAL: u64 = 0b01_0000;
const PERMISSION: u64 = 0b00_1100;

/// Returns the exception that the guest's kernel takes when an instruction of its own ends in `error`.
pub(super) fn exception_of(error: &SimulateError, memory: &KernelMemory<'_>) -> Exception {
    match error {
        SimulateError::StackAlignment { .. } => Exception {
            esr: SP_ALIGNMENT << 26 | IL,
            far: None,
        },
        SimulateError::BranchTarget { btype } => Exception {
            esr: BRANCH_TARGET << 26 | IL | u64::from(*btype),
            far: None,
        },
        SimulateError::Memory(fault) => {
            let status = status_of(memory, fault.addr);
            let wnr = match memory.last {
                Direction::Write => WNR,
                Direction::Read => 0,
            };
            Exception {
                esr: DATA_ABORT << 26 | IL | wnr | status,
                far: Some(fault.addr),
            }
        }
        _ => Exception {
            esr: DATA_ABORT << 26 | IL | EXTERNAL,
            far: None,
        },
    }
}

/// Returns the fault status of an access to `addr` that is not possible.
fn status_of(memory: &KernelMemory<'_>, addr: u64) -> u64 {
    let found = memory
        .stage1
        .translate(memory.machine, GuestVirt::new(addr), Access::Data);
    match found.map_err(|fault| fault.problem) {
        // The walk does not say on which level the page was found; most are on the last.
        Ok(found) if !found.rights.privileged_write() || found.rights.user_read() => PERMISSION | 3,
        Ok(_) => EXTERNAL,
        Err(WalkProblem::Invalid { level } | WalkProblem::Reserved { level, .. }) => {
            on_level(0b00_0100, 0b10_1011, level)
        }
        Err(WalkProblem::AccessFlag { level }) => on_level(0b00_1000, 0b00_1000, level),
        Err(WalkProblem::AddressSize { level, .. }) => on_level(0, 0b10_1001, level),
        Err(WalkProblem::Table { level, .. }) => on_level(0b01_0100, 0b01_0011, level),
        Err(_) => 0b00_0100,
    }
}

/// Returns the fault status for `level`: `zero` for level 0, with numbers for others behind it, and `minus_one` for
/// level -1.
fn on_level(zero: u64, minus_one: u64, level: i8) -> u64 {
    u64::try_from(level).map_or(minus_one, |level| zero | level)
}
