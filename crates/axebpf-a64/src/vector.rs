//! Data processing with vector and floating-point registers (ARM ARM C4.1.97). Nothing here knows the program
//! counter.

use crate::class::{Execution, Refusal, Verdict};
use crate::vector_table::{
    ACROSS_LANES, HS, INDEXED, Row, SCALAR_INDEXED, SCALAR_PAIRWISE, SCALAR_SHIFTS,
    SCALAR_THREE_SAME, SCALAR_TWO_REGISTERS, SHIFTS, THREE_DIFFERENT, THREE_SAME, TWO_REGISTERS,
};
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    let allocated = match (word.bit(31), word.bit(30), word.bit(28)) {
        (false, _, false) => vector_is_allocated(word),
        (false, true, true) => scalar_is_allocated(word),
        (_, false, true) => crate::floating_point::is_allocated(word),
        _ => false,
    };
    // Everything else is either unallocated, or an extension of the instruction set that nothing here knows.
    if allocated {
        Ok(Execution::OutOfLine)
    } else {
        Err(Refusal::Vector)
    }
}

/// Tells whether `table` has `size` for the opcode of `word`.
fn has(table: &[Row], word: Word, opcode: u32, size: u32) -> bool {
    let column = if word.bit(29) { 2 } else { 1 };
    table
        .iter()
        .any(|row| u32::from(row[0]) == opcode && row[column] >> size & 1 == 1)
}

/// Tells whether an operation on whole vectors exists.
fn vector_is_allocated(word: Word) -> bool {
    let size = word.bits(23, 22);
    let is_full = word.bit(30);
    if word.bit(24) {
        return match (word.bit(10), word.bit(23) || word.bits(22, 19) != 0) {
            (true, true) => !word.bit(23) && shift_is_allocated(SHIFTS, word, is_full),
            (true, false) => modified_immediate_is_allocated(word),
            (false, _) => indexed_is_allocated(INDEXED, word, is_full),
        };
    }
    match (word.bit(21), word.bits(11, 10)) {
        (true, 0b01 | 0b11) => {
            let opcode = word.bits(15, 11);
            let is_whole = is_full || opcode == 0b00011 || !is_double(opcode >= 0b11000, size);
            is_whole && has(THREE_SAME, word, opcode, size)
        }
        (true, 0b00) => has(THREE_DIFFERENT, word, word.bits(15, 12), size),
        (true, _) => two_registers_are_allocated(word, is_full),
        (false, 0b10) if !word.bit(29) && !word.bit(15) => {
            word.bits(13, 12) != 0 && (is_full || size != 0b11)
        }
        (false, 0b01 | 0b11) if size == 0 && !word.bit(15) && word.bit(10) => {
            copy_is_allocated(word, is_full)
        }
        (false, 0b00 | 0b10) if size == 0 && !word.bit(15) => {
            // EXT, whose index must be inside; TBL and TBX.
            match word.bit(29) {
                true => !word.bit(10) && (is_full || !word.bit(14)),
                false => word.bits(11, 10) == 0,
            }
        }
        _ => false,
    }
}

/// Tells whether a size means elements of 64 bits.
const fn is_double(is_floating: bool, size: u32) -> bool {
    if is_floating {
        size & 1 == 1
    } else {
        size == 0b11
    }
}

/// Tells whether an operation on one or two vectors exists: `REV64` to `FSQRT`, `SADDLV` to `FMINV`, `AESE`.
fn two_registers_are_allocated(word: Word, is_full: bool) -> bool {
    let (size, opcode) = (word.bits(23, 22), word.bits(16, 12));
    match word.bits(20, 17) {
        0b0000 => {
            // Conversions between sizes take half a vector.
            let is_floating = opcode >= 0b11000 || opcode & 0b11100 == 0b01100;
            let is_whole = is_full || !is_double(is_floating, size);
            let changes_size = matches!(opcode, 0b10010..=0b10111);
            (is_whole || changes_size) && has(TWO_REGISTERS, word, opcode, size)
        }
        0b1000 => {
            let is_floating = opcode & 0b01100 == 0b01100;
            let needs_all = if is_floating {
                word.bit(29)
            } else {
                size == 0b10
            };
            (is_full || !needs_all) && has(ACROSS_LANES, word, opcode, size)
        }
        0b0100 => is_full && !word.bit(29) && size == 0 && matches!(opcode, 0b00100..=0b00111),
        _ => false,
    }
}

/// Tells whether a shift by an immediate exists.
fn shift_is_allocated(table: &[Row], word: Word, is_full: bool) -> bool {
    word.bits(22, 19)
        .checked_ilog2()
        .is_some_and(|size| (is_full || size != 0b11) && has(table, word, word.bits(15, 11), size))
}

/// Tells whether an immediate of a vector exists: `MOVI` to `FMOV`.
fn modified_immediate_is_allocated(word: Word) -> bool {
    let (op, cmode) = (word.bit(29), word.bits(15, 12));
    if word.bit(11) {
        return cmode == 0b1111 && !op;
    }
    word.bit(30) || !(cmode == 0b1111 && op)
}

/// Tells whether an operation with an element exists.
fn indexed_is_allocated(table: &[Row], word: Word, is_full: bool) -> bool {
    let size = word.bits(23, 22);
    // An index of doublewords is one bit.
    let is_inside = size != 0b11 || !word.bit(21) && is_full;
    is_inside && has(table, word, word.bits(15, 12), size)
}

/// Tells whether a copy of an element exists: `DUP`, `SMOV`, `UMOV`, `INS`.
fn copy_is_allocated(word: Word, is_full: bool) -> bool {
    let imm5 = word.bits(20, 16);
    let size = imm5.trailing_zeros();
    if size > 3 {
        return false;
    }
    match (word.bit(29), word.bits(14, 11)) {
        (true, _) | (false, 0b0011) => is_full,
        (false, 0b0000 | 0b0001) => is_full || size < 3,
        (false, 0b0101) => size < 2 || is_full && size == 2,
        (false, 0b0111) => is_full == (size == 3),
        _ => false,
    }
}

/// Tells whether an operation on one element exists.
fn scalar_is_allocated(word: Word) -> bool {
    let (size, opcode) = (word.bits(23, 22), word.bits(16, 12));
    if word.bit(24) {
        return if word.bit(10) {
            !word.bit(23) && shift_is_allocated(SCALAR_SHIFTS, word, true)
        } else {
            indexed_is_allocated(SCALAR_INDEXED, word, true)
        };
    }
    match (word.bit(21), word.bits(11, 10)) {
        (true, 0b01 | 0b11) => has(SCALAR_THREE_SAME, word, word.bits(15, 11), size),
        (true, 0b00) => {
            matches!(word.bits(15, 12), 0b1001 | 0b1011 | 0b1101)
                && !word.bit(29)
                && HS >> size & 1 == 1
        }
        (true, _) => match word.bits(20, 17) {
            0b0000 => has(SCALAR_TWO_REGISTERS, word, opcode, size),
            0b1000 => has(SCALAR_PAIRWISE, word, opcode, size),
            // SHA1H, SHA1SU1 and SHA256SU0.
            0b0100 => !word.bit(29) && size == 0 && opcode <= 0b00010,
            _ => false,
        },
        // DUP of an element, and SHA1C to SHA256SU1.
        (false, 0b01) => {
            !word.bit(29) && size == 0 && word.bits(15, 11) == 0 && word.bits(19, 16) != 0
        }
        (false, 0b00) => !word.bit(29) && size == 0 && !word.bit(15) && word.bits(14, 12) != 0b111,
        _ => false,
    }
}
