//! Exceptions: the vector table of EL2, and what happens when EL2 itself is interrupted or faults.
//!
//! Exceptions from a guest end [`world::enter`](super::world::enter); exceptions of EL2 itself save all that a
//! handler could change, system registers included, so that neither an interrupt nor a nested fault shows in what it interrupted.

use core::{arch::global_asm, fmt::Write, mem::offset_of};

use aarch64_cpu::registers::{VBAR_EL2, Writeable};
use axebpf::platform::arch;

use super::{irq, panic, percpu, power, sched, sysreg, tracing};

/// What an exception of EL2 interrupted.
#[repr(C, align(16))]
pub(crate) struct Frame {
    x: [u64; 31],
    sp: u64,
    elr: u64,
    spsr: u64,
    esr: u64,
    far: u64,
    hpfar: u64,
    par: u64,
}

const SYNCHRONOUS: u64 = 0;
const INTERRUPT: u64 = 1;
const SYSTEM_ERROR: u64 = 2;

/// Bytes below the interrupted stack pointer that stay untouched by a synchronous exception's frame. An instruction that
/// is stepped over may store there: `STP` of two vector registers reaches the farthest.
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
    "bl {handle}",
    "ldp x2, x3, [sp, #{hpfar}]",
    "msr hpfar_el2, x2",
    "msr par_el1, x3",
    "ldp x2, x3, [sp, #{esr}]",
    "msr esr_el2, x2",
    "msr far_el2, x3",
    "ldp x2, x3, [sp, #{elr}]",
    "msr elr_el2, x2",
    "msr spsr_el2, x3",
    "ldp x2, x3, [sp, #16]",
    "ldp x4, x5, [sp, #32]",
    "ldp x6, x7, [sp, #48]",
    "ldp x8, x9, [sp, #64]",
    "ldp x10, x11, [sp, #80]",
    "ldp x12, x13, [sp, #96]",
    "ldp x14, x15, [sp, #112]",
    "ldp x16, x17, [sp, #128]",
    "ldp x18, x19, [sp, #144]",
    "ldp x20, x21, [sp, #160]",
    "ldp x22, x23, [sp, #176]",
    "ldp x24, x25, [sp, #192]",
    "ldp x26, x27, [sp, #208]",
    "ldp x28, x29, [sp, #224]",
    "ldr x30, [sp, #240]",
    "ldp x0, x1, [sp]",
    "add sp, sp, #{room}",
    "eret",
    room = const ROOM,
    sp = const offset_of!(Frame, sp),
    elr = const offset_of!(Frame, elr),
    esr = const offset_of!(Frame, esr),
    hpfar = const offset_of!(Frame, hpfar),
    handle = sym handle,
);

unsafe extern "C" {
    static vectors: u8;
}

/// Makes the executing CPU use the vector table.
pub(crate) fn init_cpu() {
    VBAR_EL2.set(core::ptr::addr_of!(vectors) as u64);
    sysreg::context_barrier();
}

extern "C" fn handle(frame: &mut Frame, kind: u64) {
    match kind {
        INTERRUPT => {
            irq::handle_pending(None);
            sched::preempt();
        }
        SYNCHRONOUS => handle_synchronous(frame),
        _ => die(frame, kind),
    }
}

/// Handles what EL2 itself did: a read of memory that is not there, in code that expects it, goes on behind it.
fn handle_synchronous(frame: &mut Frame) {
    const DATA_ABORT: u64 = 0x25;
    let fixup = (class(frame.esr) == DATA_ABORT)
        .then(|| arch::fault_fixup(frame.elr))
        .flatten();
    match fixup {
        Some(next) => frame.elr = next,
        None => die(frame, SYNCHRONOUS),
    }
}

/// Returns the exception class of a syndrome.
fn class(esr: u64) -> u64 {
    esr >> 26 & 0x3f
}

/// Reports an exception that should not have been, and switches the machine off.
fn die(frame: &Frame, kind: u64) -> ! {
    panic::begin();
    let what = if kind == SYSTEM_ERROR {
        "SError or FIQ"
    } else {
        "exception"
    };
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
        frame.elr, frame.spsr, frame.sp
    );
    for (number, value) in frame.x.iter().enumerate() {
        let end = if number % 3 == 2 || number == 30 {
            "\n"
        } else {
            ""
        };
        let _ = write!(out, "  x{number:<2} {value:#018x}{end}");
    }
    for (register, address) in [("elr", frame.elr), ("lr", frame.x[30])] {
        if let Some(place) = tracing::symbols().and_then(|table| table.lookup_address(address)) {
            let _ = writeln!(out, "  {register} is {place}");
        }
    }
    panic::dump_events();
    power::off()
}
