//! Exceptions: the vector table of EL2, and what happens when EL2 itself is interrupted or faults.
//!
//! Exceptions from a guest end [`world::enter`](super::world::enter); exceptions of EL2 itself save all that a handler
//! could change, system registers included, so that neither an interrupt nor a nested fault shows in what it
//! interrupted. What they return to is what the frame says then, the stack pointer included: a probe changes it.

use core::{arch::global_asm, fmt::Write, mem::offset_of, ops::Range, ptr::addr_of};

use aarch64_cpu::registers::{VBAR_EL2, Writeable};
use axebpf::{
    platform::arch,
    probe::hprobe::{Break, PtRegs, handle_break, handle_fault},
};

use super::{irq, panic, percpu, power, sched, sysreg, tracing};

/// What an exception of EL2 interrupted.
#[repr(C, align(16))]
pub(crate) struct Frame {
    regs: PtRegs,
    esr: u64,
    far: u64,
    hpfar: u64,
    par: u64,
}

/// The kinds of exceptions that are none of [`handle_synchronous`].
const INTERRUPT: u64 = 1;

/// The immediate of the `BRK` that does nothing, by which `bench` measures a trap alone.
pub(crate) const BENCH_BRK: u64 = 0xbe7c;

/// Bytes below the interrupted stack pointer that stay untouched by an exception's frame. An instruction that a probe
/// displaces may store there: `STP` of two vector registers reaches the farthest.
const RED_ZONE: usize = 1024;

/// How far an exception moves the stack pointer, which stays aligned.
const ROOM: usize = size_of::<Frame>() + RED_ZONE;
const _: () = assert!(ROOM.is_multiple_of(16));

global_asm!(
    ".macro from_el2 kind",
    ".balign 0x80",
    "sub sp, sp, #{room}",
    "stp x0, x1, [sp]",
    "add x0, sp, #{room}",
    "str x0, [sp, #{sp}]",
    "mov x1, #\\kind",
    "b exception_of_el2",
    ".endm",
    "",
    ".macro from_guest kind",
    ".balign 0x80",
    "stp x0, x1, [sp, #-16]!",
    "mov x1, #\\kind",
    "b leave_guest",
    ".endm",
    "",
    ".section .text.vectors, \"ax\"",
    ".global vectors",
    ".balign 0x800",
    "vectors:",
    // EL2 never runs on SP_EL0.
    "from_el2 0",
    "from_el2 2",
    "from_el2 2",
    "from_el2 2",
    // EL2 itself.
    "from_el2 0",
    "from_el2 1",
    "from_el2 2",
    "from_el2 2",
    // A guest in AArch64.
    "from_guest 0",
    "from_guest 1",
    "from_guest 2",
    "from_guest 2",
    // A guest in AArch32, which HCR_EL2.RW rules out.
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    "",
    "exception_of_el2:",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x19, [sp, #144]",
    "stp x20, x21, [sp, #160]",
    "stp x22, x23, [sp, #176]",
    "stp x24, x25, [sp, #192]",
    "stp x26, x27, [sp, #208]",
    "stp x28, x29, [sp, #224]",
    "str x30, [sp, #240]",
    "mrs x2, elr_el2",
    "mrs x3, spsr_el2",
    "stp x2, x3, [sp, #{elr}]",
    "mrs x2, esr_el2",
    "mrs x3, far_el2",
    "stp x2, x3, [sp, #{esr}]",
    "mrs x2, hpfar_el2",
    "mrs x3, par_el1",
    "stp x2, x3, [sp, #{hpfar}]",
    "mov x0, sp",
    "cbnz x1, 1f",
    "bl {synchronous}",
    "b 2f",
    "1: bl {other}",
    "2: ldp x2, x3, [sp, #{hpfar}]",
    "msr hpfar_el2, x2",
    "msr par_el1, x3",
    "ldp x2, x3, [sp, #{esr}]",
    "msr esr_el2, x2",
    "msr far_el2, x3",
    "ldp x2, x3, [sp, #{elr}]",
    "msr elr_el2, x2",
    "msr spsr_el2, x3",
    // The frame may lie on either side of the new stack pointer. Everything is masked until the end, so that nothing is
    // stored there meanwhile.
    "mov x0, sp",
    "ldr x1, [x0, #{sp}]",
    "mov sp, x1",
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
    ".global vectors_end",
    "vectors_end:",
    room = const ROOM,
    sp = const offset_of!(Frame, regs.sp),
    elr = const offset_of!(Frame, regs.pc),
    esr = const offset_of!(Frame, esr),
    hpfar = const offset_of!(Frame, hpfar),
    synchronous = sym handle_synchronous,
    other = sym handle_other,
);

unsafe extern "C" {
    static vectors: u8;
    static vectors_end: u8;
}

/// Returns where the code lies that enters and leaves exceptions.
pub(crate) fn text() -> Range<u64> {
    addr_of!(vectors) as u64..addr_of!(vectors_end) as u64
}

/// Makes the executing CPU use the vector table.
pub(crate) fn init_cpu() {
    VBAR_EL2.set(addr_of!(vectors) as u64);
    sysreg::context_barrier();
}

extern "C" fn handle_other(frame: &mut Frame, kind: u64) {
    if kind == INTERRUPT {
        irq::handle_pending(None);
        sched::preempt();
    } else {
        handle_fault(&mut frame.regs);
        die(frame, "SError or FIQ");
    }
}

/// Handles what EL2 itself did: a probe that fired, or a read of memory that is not there, in code that expects it.
///
/// No probe may be on what this executes before it knows that it was not a probe, so it is on none of it.
extern "C" fn handle_synchronous(frame: &mut Frame) {
    const DATA_ABORT: u64 = 0x25;
    const BREAK: u64 = 0x3c;
    let class = class(frame.esr);
    if class == BREAK {
        if handle_break(&mut frame.regs, frame.esr) == Break::Handled {
            return;
        }
        if frame.esr & 0xffff == BENCH_BRK {
            frame.regs.pc += 4;
            return;
        }
    } else {
        handle_fault(&mut frame.regs);
    }
    let fixup = (class == DATA_ABORT)
        .then(|| arch::fault_fixup(frame.regs.pc))
        .flatten();
    match fixup {
        Some(next) => frame.regs.pc = next,
        None => die(frame, "exception"),
    }
}

/// Returns the exception class of a syndrome.
fn class(esr: u64) -> u64 {
    esr >> 26 & 0x3f
}

/// Reports an exception that should not have been, and switches the machine off.
///
/// Not inlined, so that where it is called from says nothing about where it may be probed.
#[inline(never)]
fn die(frame: &Frame, what: &str) -> ! {
    panic::begin();
    let mut out = panic::LastWords;
    let _ = writeln!(out, "\nunexpected {what} at EL2, cpu {}", percpu::id());
    let _ = writeln!(
        out,
        "  esr {:#018x} (class {:#04x})  far {:#018x}  hpfar {:#x}",
        frame.esr,
        class(frame.esr),
        frame.far,
        frame.hpfar
    );
    let _ = writeln!(
        out,
        "  elr {:#018x}  spsr {:#x}  sp {:#018x}",
        frame.regs.pc, frame.regs.pstate, frame.regs.sp
    );
    for (number, value) in frame.regs.regs.iter().enumerate() {
        let end = if number % 3 == 2 || number == 30 {
            "\n"
        } else {
            ""
        };
        let _ = write!(out, "  x{number:<2} {value:#018x}{end}");
    }
    for (register, address) in [("elr", frame.regs.pc), ("lr", frame.regs.return_address())] {
        if let Some(place) = tracing::symbols().and_then(|table| table.lookup_address(address)) {
            let _ = writeln!(out, "  {register} is {place}");
        }
    }
    panic::dump_events();
    power::off()
}
