//! Data processing with registers (ARM ARM C4.1.95). Nothing here knows the program counter.

use crate::class::{Execution, Verdict, out_of_line_if};
use crate::insn::Insn;
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    // ORR with the zero register as Rn and a shift by nothing: MOV, with which functions begin that can be traced.
    if word.is(0x7fe0_ffe0, 0x2a00_03e0) {
        return Ok(Execution::Simulate(Insn::Move {
            dest: word.rd(),
            source: word.rm(),
            width: word.width(),
        }));
    }
    let allocated = if word.bit(28) {
        match word.bits(24, 21) {
            // ADC, SBC and their like.
            0b0000 if word.bits(15, 10) == 0 => true,
            0b0000 => flags_only(word),
            // CCMP, CCMN.
            0b0010 => word.bit(29) && !word.bit(10) && !word.bit(4),
            // CSEL and its like.
            0b0100 => !word.bit(29) && !word.bit(11),
            0b0110 if word.bit(30) => one_source(word),
            0b0110 => two_sources(word),
            0b1000..=0b1111 => three_sources(word),
            _ => false,
        }
    } else {
        let narrow_shifts_far = !word.bit(31) && word.bit(15);
        match (word.bit(24), word.bit(21)) {
            // AND, ORR and their like.
            (false, _) => !narrow_shifts_far,
            // ADD and SUB of a shifted register, which cannot be rotated.
            (true, false) => word.bits(23, 22) != 0b11 && !narrow_shifts_far,
            // ADD and SUB of an extended register.
            (true, true) => word.bits(23, 22) == 0 && word.bits(12, 10) <= 4,
        }
    };
    out_of_line_if(allocated)
}

/// Tells whether an operation on one register exists: `RBIT` to `CLS`.
fn one_source(word: Word) -> bool {
    let known = match word.bits(15, 10) {
        0b00_0011 => word.bit(31),
        opcode => opcode <= 0b00_0101,
    };
    !word.bit(29)
        && match word.bits(20, 16) {
            0b0_0000 => known,
            0b0_0001 => word.bit(31) && authenticates(word),
            _ => false,
        }
}

/// Tells whether an operation of pointer authentication exists: `PACIA` to `XPACD`.
fn authenticates(word: Word) -> bool {
    match word.bits(15, 10) {
        0b00_0000..=0b00_0111 => true,
        // With a modifier of zero, or without one.
        0b00_1000..=0b01_0001 => word.bits(9, 5) == 31,
        _ => false,
    }
}

/// Tells whether an operation that only changes flags exists: `RMIF`, `SETF8` and `SETF16`.
fn flags_only(word: Word) -> bool {
    word.is(0xffe0_7c10, 0xba00_0400) || word.is(0xffff_bc1f, 0x3a00_080d)
}

/// Tells whether an operation on two registers exists: divisions, shifts and checksums.
fn two_sources(word: Word) -> bool {
    let known = match word.bits(15, 10) {
        0b00_0010 | 0b00_0011 | 0b00_1000..=0b00_1011 => true,
        // PACGA.
        0b00_1100 => word.bit(31),
        // A checksum takes an X register exactly if it takes a doubleword.
        opcode @ 0b01_0000..=0b01_0111 => (opcode & 0b11 == 0b11) == word.bit(31),
        _ => false,
    };
    !word.bit(29) && known
}

/// Tells whether an operation on three registers exists: multiplications.
fn three_sources(word: Word) -> bool {
    let known = match (word.bits(23, 21), word.bit(15)) {
        (0b000, _) => true,
        (0b001 | 0b101, _) => word.bit(31),
        // The high half of a product is not added to anything.
        (0b010 | 0b110, false) => word.bit(31) && word.bits(14, 10) == 31,
        _ => false,
    };
    word.bits(30, 29) == 0 && known
}
