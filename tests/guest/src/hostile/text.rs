//! The text that is probed: short pieces, one every 32 bytes, whose first instruction is what matters.

use core::{arch::global_asm, ptr};

use super::arena::{self, GUARDED, MIXED, MOVING, OTHER_TEXT, SHARED_TEXT, TEXT};

/// How far pieces are apart.
const STRIDE: u64 = 32;

/// The pieces, by their number. Each ends in `BRK #1`.
pub(super) mod piece {
    pub(in super::super) const PUSH: u64 = 0;
    pub(in super::super) const LOAD: u64 = 1;
    pub(in super::super) const STORE: u64 = 2;
    pub(in super::super) const LOAD_PAIR: u64 = 3;
    pub(in super::super) const STORE_BEFORE: u64 = 4;
    pub(in super::super) const LOAD_BYTE: u64 = 5;
    pub(in super::super) const ADD: u64 = 6;
    pub(in super::super) const ADDRESS: u64 = 7;
    pub(in super::super) const BRANCH: u64 = 8;
    pub(in super::super) const CALL: u64 = 9;
    pub(in super::super) const IF_ZERO: u64 = 10;
    pub(in super::super) const IF_BIT: u64 = 11;
    pub(in super::super) const JUMP: u64 = 12;
    pub(in super::super) const CALL_REGISTER: u64 = 13;
    pub(in super::super) const RETURN: u64 = 14;
    pub(in super::super) const NOTHING: u64 = 15;
    pub(in super::super) const READ_MASKS: u64 = 16;
    pub(in super::super) const SET_MASKS: u64 = 17;
    pub(in super::super) const OTHER_STACK: u64 = 18;
    pub(in super::super) const READ_LEVEL: u64 = 19;
    pub(in super::super) const UNDEFINED: u64 = 20;
    pub(in super::super) const MOVE_STACK: u64 = 21;
    pub(in super::super) const READ_FEATURES: u64 = 22;
    pub(in super::super) const LOAD_WORD: u64 = 23;
    pub(in super::super) const STORE_WORD: u64 = 24;
    pub(in super::super) const CLEAN: u64 = 25;
    pub(in super::super) const COMPARE: u64 = 26;
    pub(in super::super) const LOAD_LITERAL: u64 = 27;
    pub(in super::super) const STORE_ODD: u64 = 28;
    pub(in super::super) const PREFETCH: u64 = 29;
    /// Its third instruction is executed with translation off.
    pub(in super::super) const UNTRANSLATED_LOAD: u64 = 30;
    /// As the last one.
    pub(in super::super) const UNTRANSLATED_PUSH: u64 = 31;
    /// `BRK` with the immediate of probes.
    pub(in super::super) const FOREIGN_BRK: u64 = 32;
    /// `HVC` with the immediate of probes.
    pub(in super::super) const FOREIGN_HVC: u64 = 33;
    /// It is written over all the time.
    pub(in super::super) const REWRITTEN: u64 = 34;
    /// `BTI` without an operand, on which no indirect branch lands.
    pub(in super::super) const NO_PAD: u64 = 35;
    /// `BTI c`.
    pub(in super::super) const CALL_PAD: u64 = 36;
    /// `BTI j`.
    pub(in super::super) const JUMP_PAD: u64 = 37;
    /// `BTI jc`.
    pub(in super::super) const ANY_PAD: u64 = 38;
    /// `PACIASP`, a landing pad of calls.
    pub(in super::super) const SIGN: u64 = 39;
    /// `PACIBSP`, which is one, too.
    pub(in super::super) const SIGN_WITH_B: u64 = 40;
    /// A jump that lands where calls do.
    pub(in super::super) const JUMP_OF_VENEER: u64 = 41;
}

global_asm!(
    ".section .text.hostile, \"ax\"",
    ".balign 32",
    ".global hostile_text, hostile_text_end",
    "hostile_text:",
    "stp x29, x30, [sp, #-16]!; brk #1; .balign 32",
    "ldr x0, [x1]; brk #1; .balign 32",
    "str x0, [x1]; brk #1; .balign 32",
    "ldp x2, x3, [x1], #16; brk #1; .balign 32",
    "str x0, [x1, #8]!; brk #1; .balign 32",
    "ldrb w0, [x1]; brk #1; .balign 32",
    "add x0, x0, x1; brk #1; .balign 32",
    "adr x0, .+8; brk #1; .balign 32",
    "b .+8; brk #2; brk #1; .balign 32",
    "bl .+8; brk #2; brk #1; .balign 32",
    "cbz x0, .+8; brk #2; brk #1; .balign 32",
    "tbnz x0, #3, .+8; brk #2; brk #1; .balign 32",
    "br x1; brk #1; .balign 32",
    "blr x1; brk #1; .balign 32",
    "ret x1; brk #1; .balign 32",
    "nop; brk #1; .balign 32",
    "mrs x0, daif; brk #1; .balign 32",
    "msr daifclr, #8; brk #1; .balign 32",
    "msr spsel, #0; brk #1; .balign 32",
    "mrs x0, currentel; brk #1; .balign 32",
    "udf #0; brk #1; .balign 32",
    "sub sp, sp, #40; brk #1; .balign 32",
    "mrs x0, id_aa64mmfr0_el1; brk #1; .balign 32",
    "ldr w0, [x1]; brk #1; .balign 32",
    "str w0, [x1]; brk #1; .balign 32",
    "dc cvac, x1; brk #1; .balign 32",
    "cmp x0, x1; brk #1; .balign 32",
    "ldr x0, .+8; brk #1; .quad 0x1122334455667788; .balign 32",
    "stur x0, [x1, #-3]; brk #1; .balign 32",
    "prfm pldl1keep, [x1]; brk #1; .balign 32",
    "msr sctlr_el1, x2; isb; ldr x0, [x1]; msr sctlr_el1, x3; isb; brk #1; .balign 32",
    "msr sctlr_el1, x2; isb; stp x29, x30, [sp, #-16]!; msr sctlr_el1, x3; isb; brk #1; .balign 32",
    "brk #0xebbf; brk #1; .balign 32",
    "hvc #0xebbf; brk #1; .balign 32",
    "add x0, x0, #1; brk #1; .balign 32",
    "hint #32; brk #1; .balign 32",
    "hint #34; brk #1; .balign 32",
    "hint #36; brk #1; .balign 32",
    "hint #38; brk #1; .balign 32",
    "hint #25; brk #1; .balign 32",
    "hint #27; brk #1; .balign 32",
    "br x16; brk #1; .balign 32",
    "hostile_text_end:",
);

unsafe extern "C" {
    static hostile_text: u8;
    static hostile_text_end: u8;
}

/// Returns where piece `number` of the text at `page` is.
pub(super) fn at(page: u64, number: u64) -> u64 {
    page + STRIDE * number
}

/// Puts the text where it is executed, before the tables of the arena are in use.
pub(super) fn install() {
    for page in [TEXT, SHARED_TEXT, MOVING, OTHER_TEXT, GUARDED] {
        copy(&raw const hostile_text, &raw const hostile_text_end, page);
    }
    let middle = MIXED + 0x800;
    copy(&raw const hostile_text, &raw const hostile_text_end, middle);
    // ADD X0, X0, #2, where the other page has the sum of two registers.
    let other = 0x9100_0800;
    arena::write_instruction(
        at(OTHER_TEXT, piece::ADD),
        at(OTHER_TEXT, piece::ADD),
        other,
    );
    let one = 0x9100_0400;
    arena::write_instruction(at(MOVING, piece::ADD), at(MOVING, piece::ADD), one);
}

/// Makes piece `number` of the kernel's text what it was at first.
pub(super) fn restore(number: u64) {
    let offset = STRIDE * number;
    let from = (&raw const hostile_text).addr() as u64 + offset;
    // SAFETY: the piece is a part of the image's own text.
    let word = unsafe { (from as *const u32).read_volatile() };
    arena::write_instruction(arena::ALIAS + offset, TEXT + offset, word);
}

fn copy(start: *const u8, end: *const u8, to: u64) {
    // SAFETY: the symbols are of the image's own text, and the target is a page of the arena, which is memory that
    // nothing else uses.
    unsafe { ptr::copy_nonoverlapping(start, to as *mut u8, end.addr() - start.addr()) };
    // The last instruction is written once more, with the maintenance that makes the page visible to fetches.
    for line in (0..4096).step_by(64) {
        // SAFETY: the address is in that page.
        let word = unsafe { ((to + line) as *const u32).read_volatile() };
        arena::write_instruction(to + line, to + line, word);
        if line as usize + 64 >= end.addr() - start.addr() {
            break;
        }
    }
}
