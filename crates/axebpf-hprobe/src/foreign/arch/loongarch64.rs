//! loongarch64.

use axebpf_platform::{HostVirt, ReadMemory};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::displace::read;
use crate::{ForeignRefusal, ProbePoint};

/// All instructions are four bytes long.
pub(crate) const ALIGN: u64 = 4;
/// The longest instruction, in bytes.
pub(crate) const MAX_INSN: usize = 4;
/// `BREAK 0`.
pub(crate) const BREAKPOINT: [u8; 4] = 0x002a_0000_u32.to_le_bytes();
/// `CSR.PRMD.PIE`: whether interrupts are on after `ERTN` (LoongArch reference manual, volume 1, 7.4.2).
const PIE: u64 = 1 << 2;
/// How far back an `LL` can be, in instructions.
const SEQUENCE: u64 = 16;
/// The return address is in `$r1`.
const RA: usize = 1;
/// The stack pointer is `$r3`.
const SP: usize = 3;
/// Arguments and what is returned are from `$r4` on.
const A0: usize = 4;

/// Returns how long the trap in the place of an instruction of `len` bytes is.
pub(crate) const fn trap_len(len: usize) -> usize {
    len
}

/// The registers at a hit: Linux's `struct pt_regs` of loongarch (`arch/loongarch/include/asm/ptrace.h`).
///
/// The layout is an interface: the macros `PT_REGS_PARM1` to `PT_REGS_RC` of libbpf read it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PtRegs {
    /// `$r0` to `$r31`.
    pub regs: [u64; 32],
    /// Nothing here looks at it.
    pub orig_a0: u64,
    /// The program counter.
    pub csr_era: u64,
    /// The address of a fault.
    pub csr_badvaddr: u64,
    /// The mode.
    pub csr_crmd: u64,
    /// The mode before the exception.
    pub csr_prmd: u64,
    /// Which extensions are on.
    pub csr_euen: u64,
    /// The configuration of exceptions.
    pub csr_ecfg: u64,
    /// The status of exceptions.
    pub csr_estat: u64,
}

impl PtRegs {
    /// Returns argument `n` of a function at its entry, for 0 to 7: those that the calling convention passes in
    /// registers.
    #[must_use]
    pub fn arg(&self, n: usize) -> Option<u64> {
        self.regs[A0..A0 + 8].get(n).copied()
    }

    /// Returns what a function returns, at its return.
    #[must_use]
    pub fn return_value(&self) -> u64 {
        self.regs[A0]
    }

    /// Returns the address of the breakpoint that has just been executed.
    pub(crate) fn break_address(&self) -> u64 {
        self.csr_era
    }

    pub(crate) fn pc(&self) -> u64 {
        self.csr_era
    }

    pub(crate) fn set_pc(&mut self, pc: u64) {
        self.csr_era = pc;
    }

    /// Returns the stack pointer that the function had at its entry, at its entry.
    pub(crate) fn entry_sp(&self) -> u64 {
        self.regs[SP]
    }

    /// Returns the stack pointer that the function had at its entry, after its return.
    pub(crate) fn sp_before_return(&self) -> u64 {
        self.regs[SP]
    }

    /// Returns the address to which a function will return, at its entry.
    pub(crate) fn return_address(&self, _memory: &(impl ReadMemory + ?Sized)) -> Option<u64> {
        Some(self.regs[RA])
    }

    /// Masks interrupts, and returns what was masked before.
    pub(crate) fn mask(&mut self) -> u64 {
        let before = self.csr_prmd & PIE;
        self.csr_prmd &= !PIE;
        before
    }

    /// Puts back what [`mask`](Self::mask) returned.
    pub(crate) fn unmask(&mut self, before: u64) {
        self.csr_prmd = self.csr_prmd & !PIE | before;
    }
}

/// Makes the function that `regs` are about to enter return to `address`.
pub(crate) fn write_return(regs: &mut PtRegs, address: u64) {
    regs.regs[RA] = address;
}

/// Checks what `kprobe` does not: that the instruction depends on its place no more than on interrupts, and that it is
/// not between an `LL` and its `SC`.
pub(crate) fn check(
    point: &ProbePoint,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<(), ForeignRefusal> {
    let insn = insn_at(point.at(), memory)?;
    // `kprobe` lets BEQZ, BNEZ, BCEQZ, BCNEZ and BLT pass (opcodes 0x10 to 0x12 and 0x18), and PCADDI, PCALAU12I,
    // PCADDU12I and PCADDU18I.
    if matches!(insn >> 26, 0x10..=0x1b) || matches!(insn >> 25, 0x0c..=0x0f) {
        return Err(ForeignRefusal::PositionDependent);
    }
    // CSR accesses and the rest of the privileged instructions; BREAK, DBCL and SYSCALL.
    if matches!(insn >> 24, 0x04..=0x06) || matches!(insn >> 15, 0x54..=0x56) {
        return Err(ForeignRefusal::Unsupported);
    }
    if is_exclusive(insn) {
        return Err(ForeignRefusal::ExclusiveSequence);
    }
    for before in 1..=SEQUENCE {
        let at = point.at().get().wrapping_sub(4 * before);
        if at < point.function().get() {
            break;
        }
        let insn = insn_at(HostVirt::new(at), memory)?;
        if is_load_linked(insn) {
            return Err(ForeignRefusal::ExclusiveSequence);
        }
        if is_exclusive(insn) {
            break;
        }
    }
    Ok(())
}

fn insn_at(at: HostVirt, memory: &(impl ReadMemory + ?Sized)) -> Result<u32, ForeignRefusal> {
    let mut bytes = [0; MAX_INSN];
    if read(memory, at, &mut bytes) == MAX_INSN {
        Ok(u32::from_le_bytes(bytes))
    } else {
        Err(ForeignRefusal::Undecodable)
    }
}

/// LL.W and LL.D.
fn is_load_linked(insn: u32) -> bool {
    matches!(insn >> 24, 0x20 | 0x22)
}

/// LL.W, SC.W, LL.D and SC.D.
fn is_exclusive(insn: u32) -> bool {
    matches!(insn >> 24, 0x20..=0x23)
}
