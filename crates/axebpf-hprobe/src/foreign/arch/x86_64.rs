//! x86_64.

use axebpf_platform::{HostVirt, ReadMemory};
use yaxpeax_arch::LengthedInstruction;
use yaxpeax_x86::amd64::{InstDecoder, Instruction, Opcode};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::displace::read;
use crate::{ForeignRefusal, ProbePoint};

/// Instructions can be anywhere.
pub(crate) const ALIGN: u64 = 1;
/// The longest instruction, in bytes.
pub(crate) const MAX_INSN: usize = 15;
/// `INT3`.
pub(crate) const BREAKPOINT: [u8; 1] = [0xcc];
/// The interrupt flag (Intel SDM 3.4.3).
const IF: u64 = 1 << 9;

/// Returns how long the trap in the place of an instruction of `len` bytes is.
pub(crate) const fn trap_len(_len: usize) -> usize {
    BREAKPOINT.len()
}

/// The registers at a hit: Linux's `struct pt_regs` of x86_64 (`arch/x86/include/asm/ptrace.h`).
///
/// The layout is an interface: the macros `PT_REGS_PARM1` to `PT_REGS_RC` of libbpf read it.
#[expect(missing_docs, reason = "the registers are known by their names")]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PtRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The error code of the exception, which nothing here looks at.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl PtRegs {
    /// Returns argument `n` of a function at its entry, for 0 to 5: those that the System V calling convention passes
    /// in registers. Rust's own convention need not keep to it.
    #[must_use]
    pub fn arg(&self, n: usize) -> Option<u64> {
        let args = [self.rdi, self.rsi, self.rdx, self.rcx, self.r8, self.r9];
        args.get(n).copied()
    }

    /// Returns what a function returns, at its return.
    #[must_use]
    pub fn return_value(&self) -> u64 {
        self.rax
    }

    /// Returns the address of the breakpoint that has just been executed.
    pub(crate) fn break_address(&self) -> u64 {
        self.rip.wrapping_sub(BREAKPOINT.len() as u64)
    }

    pub(crate) fn pc(&self) -> u64 {
        self.rip
    }

    pub(crate) fn set_pc(&mut self, pc: u64) {
        self.rip = pc;
    }

    /// Returns the stack pointer that the function had at its entry, at its entry.
    pub(crate) fn entry_sp(&self) -> u64 {
        self.rsp
    }

    /// Returns the stack pointer that the function had at its entry, after its return.
    pub(crate) fn sp_before_return(&self) -> u64 {
        // `RET` has taken the return address off the stack.
        self.rsp.wrapping_sub(8)
    }

    /// Returns the address to which a function will return, at its entry.
    pub(crate) fn return_address(&self, memory: &(impl ReadMemory + ?Sized)) -> Option<u64> {
        let mut bytes = [0; 8];
        memory
            .read_memory(HostVirt::new(self.rsp), &mut bytes)
            .ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Masks interrupts, and returns what was masked before.
    pub(crate) fn mask(&mut self) -> u64 {
        let before = self.rflags & IF;
        self.rflags &= !IF;
        before
    }

    /// Puts back what [`mask`](Self::mask) returned.
    pub(crate) fn unmask(&mut self, before: u64) {
        self.rflags = self.rflags & !IF | before;
    }
}

/// Makes the function that `regs` are about to enter return to `address`.
#[allow(unsafe_code)]
pub(crate) fn write_return(regs: &mut PtRegs, address: u64) {
    // SAFETY: A function that is being entered has its return address there, which was just read. It is on the stack of
    // the interrupted code, which does not go on meanwhile, and no Rust reference can be to it.
    unsafe { (regs.rsp as *mut u64).write_unaligned(address) };
}

/// Checks what `kprobe` does not: that an instruction begins at the point, and that the instruction minds neither that
/// interrupts are masked nor where it goes on.
pub(crate) fn check(
    point: &ProbePoint,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<(), ForeignRefusal> {
    let at = point.at();
    let mut next = point.function();
    loop {
        let insn = decode(next, memory)?;
        if next == at {
            return is_displaceable(&insn);
        }
        let len = insn.len().to_const();
        next = next
            .checked_add(len)
            .filter(|&next| next <= at)
            .ok_or(ForeignRefusal::WithinInstruction)?;
    }
}

fn decode(
    at: HostVirt,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<Instruction, ForeignRefusal> {
    let mut bytes = [0; MAX_INSN];
    let count = read(memory, at, &mut bytes);
    InstDecoder::default()
        .decode_slice(&bytes[..count])
        .map_err(|_| ForeignRefusal::Undecodable)
}

fn is_displaceable(insn: &Instruction) -> Result<(), ForeignRefusal> {
    match insn.opcode() {
        // `kprobe` knows its siblings only.
        Opcode::JECXZ => Err(ForeignRefusal::PositionDependent),
        Opcode::PUSHF
        | Opcode::POPF
        | Opcode::SYSENTER
        | Opcode::SYSEXIT
        | Opcode::VMLAUNCH
        | Opcode::VMRESUME
        | Opcode::VMRUN
        | Opcode::RSM
        | Opcode::UIRET
        | Opcode::SKINIT
        | Opcode::GETSEC => Err(ForeignRefusal::Unsupported),
        _ => Ok(()),
    }
}
