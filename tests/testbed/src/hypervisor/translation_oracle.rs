//! The processor's own translation of a guest's addresses: the `AT` instructions (ARM ARM D8.15, C5.5).

use core::arch::asm;

use aarch64_cpu::registers::{
    ELR_EL1, FAR_EL1, PAR_EL1, Readable, SCTLR_EL1, SP_EL0, SP_EL1, TCR_EL1, TPIDR_EL0, TPIDR_EL1,
    TTBR0_EL1, TTBR1_EL1, VBAR_EL1, Writeable,
};
use axebpf::probe::kprobe::Stage1;

use super::sysreg;

/// An access whose translation the processor can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The kernel reads (`AT S1E1R`).
    KernelRead,
    /// The kernel writes (`AT S1E1W`).
    KernelWrite,
    /// A program reads (`AT S1E0R`).
    UserRead,
    /// A program writes (`AT S1E0W`).
    UserWrite,
}

impl Attempt {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [
        Self::KernelRead,
        Self::KernelWrite,
        Self::UserRead,
        Self::UserWrite,
    ];

    /// Tells whether it is a program's.
    pub(crate) fn is_user(self) -> bool {
        matches!(self, Self::UserRead | Self::UserWrite)
    }
}

/// What the processor made of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It leads here, but for the low 12 bits.
    Page(u64),
    /// There is a fault with this status (ARM ARM D24.2.40, DFSC).
    Fault(u8),
    /// A table is where stage 2 has nothing.
    Stage2,
}

impl Answer {
    fn of(par: u64) -> Self {
        const FAILED: u64 = 1;
        const STAGE_2: u64 = 1 << 9;
        const PAGE: u64 = 0x000f_ffff_ffff_f000;
        match par {
            _ if par & FAILED == 0 => Self::Page(par & PAGE),
            _ if par & STAGE_2 != 0 => Self::Stage2,
            _ => Self::Fault((par >> 1 & 0x3f) as u8),
        }
    }
}

/// The translation of the vCPU that is loaded on the executing CPU, replaced by another one for as long as this lives.
///
/// Interrupts are masked meanwhile. Whoever makes one keeps it short.
pub(crate) struct Oracle {
    daif: sysreg::DaifState,
    own: Stage1,
    par: u64,
}

impl Oracle {
    /// Puts `stage1` into the processor's registers.
    pub(crate) fn new(stage1: &Stage1) -> Self {
        let daif = sysreg::mask_interrupts();
        let oracle = Self {
            daif,
            own: loaded(),
            par: PAR_EL1.get(),
        };
        load(stage1);
        oracle
    }

    /// Asks the processor where `attempt` at `address` leads.
    pub(crate) fn ask(&self, attempt: Attempt, address: u64) -> Answer {
        macro_rules! translate {
            ($operation:literal) => {
                // SAFETY: the instruction reads translation tables and writes `PAR_EL1`, which is put back in the end.
                unsafe {
                    asm!(
                        concat!("at ", $operation, ", {}"),
                        "isb",
                        in(reg) address,
                        options(nostack, preserves_flags)
                    )
                }
            };
        }
        match attempt {
            Attempt::KernelRead => translate!("s1e1r"),
            Attempt::KernelWrite => translate!("s1e1w"),
            Attempt::UserRead => translate!("s1e0r"),
            Attempt::UserWrite => translate!("s1e0w"),
        }
        Answer::of(PAR_EL1.get())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        load(&self.own);
        PAR_EL1.set(self.par);
        sysreg::restore_interrupts(self.daif);
    }
}

/// Returns how the loaded vCPU translates addresses.
pub(crate) fn loaded() -> Stage1 {
    Stage1 {
        ttbr0: TTBR0_EL1.get(),
        ttbr1: TTBR1_EL1.get(),
        tcr: TCR_EL1.get(),
        sctlr: SCTLR_EL1.get(),
    }
}

/// Returns some registers of the loaded vCPU that hold addresses: of vectors, of stacks, and of data of each CPU.
pub(crate) fn pointers() -> [u64; 7] {
    [
        VBAR_EL1.get(),
        SP_EL0.get(),
        SP_EL1.get(),
        ELR_EL1.get(),
        TPIDR_EL0.get(),
        TPIDR_EL1.get(),
        FAR_EL1.get(),
    ]
}

fn load(stage1: &Stage1) {
    TTBR0_EL1.set(stage1.ttbr0);
    TTBR1_EL1.set(stage1.ttbr1);
    TCR_EL1.set(stage1.tcr);
    SCTLR_EL1.set(stage1.sctlr);
    // SAFETY: EL2 does not translate with these registers; invalidating what this CPU's TLB holds of the loaded VM is
    // always allowed.
    unsafe {
        asm!(
            "isb",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}
