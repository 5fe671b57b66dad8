//! riscv64.

use axebpf_platform::{HostVirt, ReadMemory};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::displace::read;
use crate::{ForeignRefusal, ProbePoint};

/// Compressed instructions are two bytes long.
pub(crate) const ALIGN: u64 = 2;
/// The longest instruction, in bytes.
pub(crate) const MAX_INSN: usize = 4;
/// `EBREAK`.
pub(crate) const BREAKPOINT: [u8; 4] = 0x0010_0073_u32.to_le_bytes();
/// `sstatus.SPIE`: whether interrupts are on after `SRET` (privileged ISA 12.1.1).
const SPIE: u64 = 1 << 5;
/// How many instructions there can be from `LR` to its `SC` in a loop that is bound to end (unprivileged ISA 13.3).
const CONSTRAINED: u32 = 16;

/// Returns how long the trap in the place of an instruction of `len` bytes is.
pub(crate) const fn trap_len(len: usize) -> usize {
    len
}

/// The registers at a hit: Linux's `struct pt_regs` of riscv (`arch/riscv/include/asm/ptrace.h`).
///
/// The layout is an interface: the macros `PT_REGS_PARM1` to `PT_REGS_RC` of libbpf read it.
#[expect(missing_docs, reason = "the registers are known by their names")]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PtRegs {
    pub epc: u64,
    pub ra: u64,
    pub sp: u64,
    pub gp: u64,
    pub tp: u64,
    pub t0: u64,
    pub t1: u64,
    pub t2: u64,
    pub s0: u64,
    pub s1: u64,
    pub a0: u64,
    pub a1: u64,
    pub a2: u64,
    pub a3: u64,
    pub a4: u64,
    pub a5: u64,
    pub a6: u64,
    pub a7: u64,
    pub s2: u64,
    pub s3: u64,
    pub s4: u64,
    pub s5: u64,
    pub s6: u64,
    pub s7: u64,
    pub s8: u64,
    pub s9: u64,
    pub s10: u64,
    pub s11: u64,
    pub t3: u64,
    pub t4: u64,
    pub t5: u64,
    pub t6: u64,
    /// `sstatus`.
    pub status: u64,
    /// `stval`.
    pub badaddr: u64,
    /// `scause`.
    pub cause: u64,
    pub orig_a0: u64,
}

impl PtRegs {
    /// Returns argument `n` of a function at its entry, for 0 to 7: those that the calling convention passes in
    /// registers.
    #[must_use]
    pub fn arg(&self, n: usize) -> Option<u64> {
        let args = [
            self.a0, self.a1, self.a2, self.a3, self.a4, self.a5, self.a6, self.a7,
        ];
        args.get(n).copied()
    }

    /// Returns what a function returns, at its return.
    #[must_use]
    pub fn return_value(&self) -> u64 {
        self.a0
    }

    /// Returns the address of the breakpoint that has just been executed.
    pub(crate) fn break_address(&self) -> u64 {
        self.epc
    }

    pub(crate) fn pc(&self) -> u64 {
        self.epc
    }

    pub(crate) fn set_pc(&mut self, pc: u64) {
        self.epc = pc;
    }

    /// Returns the stack pointer that the function had at its entry, at its entry.
    pub(crate) fn entry_sp(&self) -> u64 {
        self.sp
    }

    /// Returns the stack pointer that the function had at its entry, after its return.
    pub(crate) fn sp_before_return(&self) -> u64 {
        self.sp
    }

    /// Returns the address to which a function will return, at its entry.
    pub(crate) fn return_address(&self, _memory: &(impl ReadMemory + ?Sized)) -> Option<u64> {
        Some(self.ra)
    }

    /// Masks interrupts, and returns what was masked before.
    pub(crate) fn mask(&mut self) -> u64 {
        let before = self.status & SPIE;
        self.status &= !SPIE;
        before
    }

    /// Puts back what [`mask`](Self::mask) returned.
    pub(crate) fn unmask(&mut self, before: u64) {
        self.status = self.status & !SPIE | before;
    }
}

/// Makes the function that `regs` are about to enter return to `address`.
pub(crate) fn write_return(regs: &mut PtRegs, address: u64) {
    regs.ra = address;
}

/// Checks what `kprobe` does not: that an instruction begins at the point, and that it is not between an `LR` and its
/// `SC`.
pub(crate) fn check(
    point: &ProbePoint,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<(), ForeignRefusal> {
    let at = point.at();
    let mut next = point.function();
    // How many instructions may still belong to the sequence.
    let mut reserved = 0_u32;
    loop {
        let insn = insn_at(next, memory)?;
        let kind = atomic(insn);
        if next == at {
            return match kind {
                None if reserved == 0 => Ok(()),
                _ => Err(ForeignRefusal::ExclusiveSequence),
            };
        }
        reserved = match kind {
            Some(Atomic::LoadReserved) => CONSTRAINED,
            Some(Atomic::StoreConditional) => 0,
            None => reserved.saturating_sub(1),
        };
        let len = if insn & 3 == 3 { 4 } else { 2 };
        next = next
            .checked_add(len)
            .filter(|&next| next <= at)
            .ok_or(ForeignRefusal::WithinInstruction)?;
    }
}

fn insn_at(at: HostVirt, memory: &(impl ReadMemory + ?Sized)) -> Result<u32, ForeignRefusal> {
    let mut bytes = [0; MAX_INSN];
    match read(memory, at, &mut bytes) {
        0 | 1 => Err(ForeignRefusal::Undecodable),
        _ => Ok(u32::from_le_bytes(bytes)),
    }
}

/// What makes a sequence that must not be interrupted.
enum Atomic {
    LoadReserved,
    StoreConditional,
}

/// `LR` and `SC` are opcode `AMO` with bits 31 to 27 of 2 and 3.
fn atomic(insn: u32) -> Option<Atomic> {
    match (insn & 0x7f, insn >> 27) {
        (0x2f, 2) => Some(Atomic::LoadReserved),
        (0x2f, 3) => Some(Atomic::StoreConditional),
        _ => None,
    }
}
