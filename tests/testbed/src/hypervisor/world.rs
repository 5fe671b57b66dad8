//! The switch between EL2 and a guest: entering looks like a function call that returns when the guest is left.

use core::{arch::global_asm, mem::offset_of, ops::Range, ptr::addr_of};

/// The registers of a vCPU that EL2 itself uses while the guest does not run, and why the guest was left.
#[derive(Default)]
#[repr(C, align(16))]
pub(crate) struct Registers {
    /// The general registers, x0 to x30.
    pub(crate) x: [u64; 31],
    /// Where the guest continues.
    pub(crate) pc: u64,
    /// Its processor state, as in `SPSR_EL2`.
    pub(crate) pstate: u64,
    /// The syndrome of the exit. Kept here at once, because what runs later at EL2 may change the register.
    pub(crate) esr: u64,
    /// The faulting virtual address of the exit.
    pub(crate) far: u64,
    /// The faulting guest-physical page of the exit.
    pub(crate) hpfar: u64,
}

/// What kind of exception left the guest.
pub(crate) const SYNCHRONOUS: u64 = 0;
/// A physical interrupt left the guest.
pub(crate) const INTERRUPT: u64 = 1;

unsafe extern "C" {
    /// Runs the guest with `registers` until it is left, and returns what kind of exception that was.
    ///
    /// # Safety
    ///
    /// Interrupts are masked, and the vCPU's system registers and stage 2 are loaded.
    fn enter_guest(registers: *mut Registers) -> u64;
    static world_end: u8;
}

/// Returns where the code of the switch lies, which needs the registers that an exception overwrites.
pub(crate) fn text() -> Range<u64> {
    let start: unsafe extern "C" fn(*mut Registers) -> u64 = enter_guest;
    start as usize as u64..addr_of!(world_end) as u64
}

global_asm!(
    ".section .text.world, \"ax\"",
    ".global enter_guest",
    "enter_guest:",
    "sub sp, sp, #112",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "stp x29, x30, [sp, #96]",
    // `leave_guest` finds the registers on top of the stack.
    "str x0, [sp]",
    "ldr x2, [x0, #{pc}]",
    "ldr x3, [x0, #{pstate}]",
    "msr elr_el2, x2",
    "msr spsr_el2, x3",
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
    // The vectors pushed x0 and x1; x1 is the kind of exception.
    ".global leave_guest",
    "leave_guest:",
    "ldr x0, [sp, #16]",
    "stp x2, x3, [x0, #16]",
    "stp x4, x5, [x0, #32]",
    "stp x6, x7, [x0, #48]",
    "stp x8, x9, [x0, #64]",
    "stp x10, x11, [x0, #80]",
    "stp x12, x13, [x0, #96]",
    "stp x14, x15, [x0, #112]",
    "stp x16, x17, [x0, #128]",
    "stp x18, x19, [x0, #144]",
    "stp x20, x21, [x0, #160]",
    "stp x22, x23, [x0, #176]",
    "stp x24, x25, [x0, #192]",
    "stp x26, x27, [x0, #208]",
    "stp x28, x29, [x0, #224]",
    "str x30, [x0, #240]",
    "ldp x2, x3, [sp], #16",
    "stp x2, x3, [x0]",
    "mrs x2, elr_el2",
    "mrs x3, spsr_el2",
    "str x2, [x0, #{pc}]",
    "str x3, [x0, #{pstate}]",
    "mrs x2, esr_el2",
    "mrs x3, far_el2",
    "mrs x4, hpfar_el2",
    "str x2, [x0, #{esr}]",
    "str x3, [x0, #{far}]",
    "str x4, [x0, #{hpfar}]",
    "mov x0, x1",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp, #96]",
    "add sp, sp, #112",
    "ret",
    ".global world_end",
    "world_end:",
    pc = const offset_of!(Registers, pc),
    pstate = const offset_of!(Registers, pstate),
    esr = const offset_of!(Registers, esr),
    far = const offset_of!(Registers, far),
    hpfar = const offset_of!(Registers, hpfar),
);

/// Runs the loaded vCPU until it leaves the guest, and returns [`SYNCHRONOUS`], [`INTERRUPT`], or another number for a
/// system error.
///
/// # Safety
///
/// Interrupts are masked, `registers` are the loaded vCPU's, and its system registers and stage 2 are loaded.
pub(crate) unsafe fn enter(registers: &mut Registers) -> u64 {
    // SAFETY: the caller says so.
    unsafe { enter_guest(registers) }
}
