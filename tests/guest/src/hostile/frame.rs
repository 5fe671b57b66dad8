//! Executing something with any registers whatsoever, until it ends in an exception.

use core::arch::{asm, global_asm};

use aarch64_cpu::{
    asm::barrier,
    registers::{ID_AA64MMFR1_EL1, Readable, SCTLR_EL1, Writeable},
};

/// What is executed, and what becomes of it. The assembly below knows the places of the fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The general registers at first.
    pub(super) x: [u64; 31],
    /// The stack pointer at first, whichever is in use.
    pub(super) sp: u64,
    /// Where it starts.
    pub(super) pc: u64,
    /// The processor state at first.
    pub(super) pstate: u64,
    /// How it ended.
    pub(super) end: End,
    host_sp: u64,
    host: [u64; 12],
}

/// How something ended: the registers at the exception.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The general registers.
    pub(super) x: [u64; 31],
    /// `SP_EL1`.
    pub(super) sp_el1: u64,
    /// `SP_EL0`.
    pub(super) sp_el0: u64,
    /// `ESR_EL1`.
    pub(super) esr: u64,
    /// `FAR_EL1`, 0 where the exception has none.
    pub(super) far: u64,
    /// `ELR_EL1`.
    pub(super) elr: u64,
    /// `SPSR_EL1`.
    pub(super) spsr: u64,
    /// The number of the vector.
    pub(super) vector: u64,
}

/// EL1 with its own stack pointer, everything masked.
pub(super) const KERNEL: u64 = 0x3c5;
/// EL1 with the stack pointer of EL0.
pub(super) const KERNEL_ON_USER_STACK: u64 = 0x3c4;
/// EL0.
pub(super) const PROGRAM: u64 = 0x3c0;

impl Frame {
    /// Makes a frame that starts at `pc` with registers that are easy to tell apart.
    pub(super) fn new(pc: u64, sp: u64) -> Self {
        let mut x = [0; 31];
        for (register, number) in x.iter_mut().zip(0x1000_u64..) {
            *register = number * 0x1_0001;
        }
        Self {
            x,
            sp,
            pc,
            pstate: KERNEL,
            end: End::default(),
            host_sp: 0,
            host: [0; 12],
        }
    }

    /// Executes it.
    pub(super) fn run(&mut self) -> &End {
        // It may end with translation off.
        let control = SCTLR_EL1.get();
        // SAFETY: the function keeps to the calling convention, whatever is executed in between: that ends in one of
        // the vectors below, which put everything back. What is executed touches the arena alone.
        unsafe { hostile_enter(self) };
        SCTLR_EL1.set(control);
        barrier::isb(barrier::SY);
        reach_programs();
        &self.end
    }
}

impl End {
    /// Tells whether it ended at a `BRK` with this immediate.
    pub(super) fn is_brk(&self, immediate: u64) -> bool {
        const BRK: u64 = 0x3c << 26 | 1 << 25;
        self.esr == BRK | immediate
    }

    /// Returns the exception class.
    pub(super) fn class(&self) -> u64 {
        self.esr >> 26
    }
}

/// Lets the kernel access the memory of programs again, which what was executed may have ended (`FEAT_PAN`).
fn reach_programs() {
    if ID_AA64MMFR1_EL1.read(ID_AA64MMFR1_EL1::PAN) == 0 {
        return;
    }
    // SAFETY: `MSR PAN, #0`, which the processor has, and which changes no memory.
    unsafe { asm!(".inst 0xd500409f", options(nostack, preserves_flags)) };
}

unsafe extern "C" {
    fn hostile_enter(frame: *mut Frame);
    static hostile_vectors: u8;
}

/// Returns where the vectors are, which end what is executed.
pub(super) fn vectors() -> u64 {
    (&raw const hostile_vectors).addr() as u64
}

global_asm!(
    ".section .text.hostile_enter, \"ax\"",
    ".global hostile_enter, hostile_vectors",
    "hostile_enter:",
    "msr tpidr_el1, x0",
    "add x1, x0, #584",
    "stp x19, x20, [x1]",
    "stp x21, x22, [x1, #16]",
    "stp x23, x24, [x1, #32]",
    "stp x25, x26, [x1, #48]",
    "stp x27, x28, [x1, #64]",
    "stp x29, x30, [x1, #80]",
    "mov x1, sp",
    "str x1, [x0, #576]",
    "ldr x1, [x0, #256]",
    "msr elr_el1, x1",
    "msr esr_el1, xzr",
    "msr far_el1, xzr",
    "ldr x2, [x0, #264]",
    "msr spsr_el1, x2",
    "ldr x1, [x0, #248]",
    "and x2, x2, #0xf",
    "cmp x2, #5",
    "b.ne 1f",
    "mov sp, x1",
    "b 2f",
    "1: msr sp_el0, x1",
    "2:",
    "ldp x2, x3, [x0, #16]",
    "ldp x4, x5, [x0, #32]",
    "ldp x6, x7, [x0, #48]",
    "ldp x8, x9, [x0, #64]",
    "ldp x10, x11, [x0, #80]",
    "ldp x12, x13, [x0, #96]",
    "ldp x14, x15, [x0, #112]",
    "ldp x16, x17, [x0, #128]",
    "ldp x18, x19, [x0, #144]",
    "ldp x20, x21, [x0, #160]",
    "ldp x22, x23, [x0, #176]",
    "ldp x24, x25, [x0, #192]",
    "ldp x26, x27, [x0, #208]",
    "ldp x28, x29, [x0, #224]",
    "ldr x30, [x0, #240]",
    "ldp x0, x1, [x0]",
    "eret",
    // What the vectors below lead to, with x0 in TPIDR_EL0 and the number of the vector in x0.
    "hostile_end:",
    "msr tpidrro_el0, x0",
    "mrs x0, tpidr_el1",
    "str x1, [x0, #280]",
    "stp x2, x3, [x0, #288]",
    "stp x4, x5, [x0, #304]",
    "stp x6, x7, [x0, #320]",
    "stp x8, x9, [x0, #336]",
    "stp x10, x11, [x0, #352]",
    "stp x12, x13, [x0, #368]",
    "stp x14, x15, [x0, #384]",
    "stp x16, x17, [x0, #400]",
    "stp x18, x19, [x0, #416]",
    "stp x20, x21, [x0, #432]",
    "stp x22, x23, [x0, #448]",
    "stp x24, x25, [x0, #464]",
    "stp x26, x27, [x0, #480]",
    "stp x28, x29, [x0, #496]",
    "add x1, x0, #512",
    "mrs x2, tpidr_el0",
    "str x2, [x0, #272]",
    "mov x3, sp",
    "stp x30, x3, [x1]",
    "mrs x2, sp_el0",
    "mrs x3, esr_el1",
    "stp x2, x3, [x1, #16]",
    "mrs x2, far_el1",
    "mrs x3, elr_el1",
    "stp x2, x3, [x1, #32]",
    "mrs x2, spsr_el1",
    "mrs x3, tpidrro_el0",
    "stp x2, x3, [x1, #48]",
    "ldr x1, [x0, #576]",
    "mov sp, x1",
    "add x1, x0, #584",
    "ldp x19, x20, [x1]",
    "ldp x21, x22, [x1, #16]",
    "ldp x23, x24, [x1, #32]",
    "ldp x25, x26, [x1, #48]",
    "ldp x27, x28, [x1, #64]",
    "ldp x29, x30, [x1, #80]",
    "ret",
    // A page of their own, so that they can be probed.
    ".balign 4096",
    "hostile_vectors:",
    ".macro hostile_vector number",
    ".balign 128",
    "msr tpidr_el0, x0",
    "mov x0, #\\number",
    "b hostile_end",
    ".endm",
    "hostile_vector 0; hostile_vector 1; hostile_vector 2; hostile_vector 3",
    "hostile_vector 4; hostile_vector 5; hostile_vector 6; hostile_vector 7",
    "hostile_vector 8; hostile_vector 9; hostile_vector 10; hostile_vector 11",
    "hostile_vector 12; hostile_vector 13; hostile_vector 14; hostile_vector 15",
    ".balign 4096",
);
