//! The registers of the running architecture, as programs see them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The general registers at a hit: Linux's `struct user_pt_regs` of arm64
/// (`arch/arm64/include/uapi/asm/ptrace.h`).
///
/// The layout is an interface: the macros `PT_REGS_PARM1` to `PT_REGS_RC` of libbpf and the types of
/// `aya-ebpf` read it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PtRegs {
    /// X0 to X30.
    pub regs: [u64; 31],
    /// The stack pointer.
    pub sp: u64,
    /// The program counter.
    pub pc: u64,
    /// The processor state, laid out as in `SPSR_ELx` (ARM ARM C5.2.20).
    pub pstate: u64,
}

/// Where `BTYPE` is in the processor state.
const BTYPE_SHIFT: u32 = 10;
/// How wide `BTYPE` is, in place.
const BTYPE_MASK: u64 = 0b11 << BTYPE_SHIFT;

impl PtRegs {
    /// Returns argument `n` of a function at its entry, for 0 to 7: those that the procedure call standard
    /// (AAPCS64) passes in registers.
    #[must_use]
    pub fn arg(&self, n: usize) -> Option<u64> {
        self.regs[..8].get(n).copied()
    }

    /// Returns what a function returns, at its return.
    #[must_use]
    pub fn return_value(&self) -> u64 {
        self.regs[0]
    }

    /// Returns the address to which a function will return, at its entry.
    ///
    /// It may be signed (`FEAT_PAuth`) if the function has executed `PACIASP`.
    #[must_use]
    pub fn return_address(&self) -> u64 {
        self.regs[30]
    }

    /// Returns the value of `reg`.
    #[must_use]
    pub fn get(&self, reg: Reg) -> u64 {
        self.regs.get(reg.index()).copied().unwrap_or(0)
    }

    /// Sets `reg`; the zero register stays zero.
    pub fn set(&mut self, reg: Reg, value: u64) {
        if let Some(slot) = self.regs.get_mut(reg.index()) {
            *slot = value;
        }
    }

    /// Returns the value of `reg`.
    #[must_use]
    pub fn get_sp(&self, reg: RegSp) -> u64 {
        self.regs.get(reg.index()).copied().unwrap_or(self.sp)
    }

    /// Sets `reg`.
    pub fn set_sp(&mut self, reg: RegSp, value: u64) {
        match self.regs.get_mut(reg.index()) {
            Some(slot) => *slot = value,
            None => self.sp = value,
        }
    }

    /// Returns the condition flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags(((self.pstate >> 28) & 0xf) as u8)
    }

    /// Sets the condition flags.
    pub fn set_flags(&mut self, flags: Flags) {
        self.pstate = self.pstate & !(0xf << 28) | u64::from(flags.0) << 28;
    }

    /// Returns `BTYPE`, which says what kind of indirect branch came here last: 0 for none.
    #[must_use]
    pub fn btype(&self) -> u8 {
        ((self.pstate & BTYPE_MASK) >> BTYPE_SHIFT) as u8
    }

    /// Sets `BTYPE` to the low two bits of `btype`.
    pub(crate) fn set_btype(&mut self, btype: u8) {
        let field = u64::from(btype) << BTYPE_SHIFT;
        self.pstate = self.pstate & !BTYPE_MASK | field & BTYPE_MASK;
    }
}

/// A general register, of which number 31 is the zero register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reg(u8);

/// A general register, of which number 31 is the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegSp(u8);

impl Reg {
    /// Takes the low five bits of `field` as the number of a register.
    #[must_use]
    pub const fn from_field(field: u32) -> Self {
        Self((field & 31) as u8)
    }

    /// Returns the number of the register, 0 to 31.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl RegSp {
    /// Takes the low five bits of `field` as the number of a register.
    #[must_use]
    pub const fn from_field(field: u32) -> Self {
        Self((field & 31) as u8)
    }

    /// Returns the number of the register, 0 to 31.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Tells whether this is the stack pointer.
    #[must_use]
    pub const fn is_sp(self) -> bool {
        self.0 == 31
    }
}

/// The condition flags N, Z, C and V, from bit 3 down to bit 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Takes the low four bits of `nzcv`.
    #[must_use]
    pub const fn from_nzcv(nzcv: u8) -> Self {
        Self(nzcv & 0xf)
    }

    /// Returns the flags, N as bit 3 and V as bit 0.
    #[must_use]
    pub const fn nzcv(self) -> u8 {
        self.0
    }
}

/// The condition of a conditional branch (ARM ARM C1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cond(u8);

impl Cond {
    /// Takes the low four bits of `field`.
    #[must_use]
    pub const fn from_field(field: u32) -> Self {
        Self((field & 0xf) as u8)
    }

    /// Tells whether the condition is true for `flags`.
    #[must_use]
    pub const fn holds(self, flags: Flags) -> bool {
        let [n, z, c, v] = [
            flags.0 & 8 != 0,
            flags.0 & 4 != 0,
            flags.0 & 2 != 0,
            flags.0 & 1 != 0,
        ];
        let base = match self.0 >> 1 {
            0 => z,
            1 => c,
            2 => n,
            3 => v,
            4 => c && !z,
            5 => n == v,
            6 => n == v && !z,
            // AL, and NV, which is the same.
            _ => return true,
        };
        base != (self.0 & 1 != 0)
    }
}
