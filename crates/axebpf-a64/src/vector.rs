//! Data processing with vector and floating-point registers (ARM ARM C4.1.97). Nothing here knows the program
//! counter.
//!
//! Which combinations of fields exist is in tables. Each row has an opcode, and the sizes that it has with bit 29
//! clear and with bit 29 set, as a set of bits: bit 0 for a size of `00`, bit 3 for one of `11`.

use crate::class::{Execution, Refusal, Verdict};
use crate::word::Word;

/// An opcode, its sizes with bit 29 clear, and its sizes with bit 29 set.
type Row = [u8; 3];

/// The sizes of elements: none, bytes, halves, words, doublewords.
const NONE: u8 = 0b0000;
const B: u8 = 0b0001;
const BH: u8 = 0b0011;
const HS: u8 = 0b0110;
const BHS: u8 = 0b0111;
const D: u8 = 0b1000;
const BD: u8 = 0b1001;
const ALL: u8 = 0b1111;
/// The floating-point sizes, single and double: with the high bit clear, with it set, and with either.
const F_LOW: u8 = 0b0011;
const F_HIGH: u8 = 0b1100;
/// Only single.
const F_LOW_S: u8 = 0b0001;
const F_HIGH_S: u8 = 0b0100;
/// Only double.
const F_LOW_D: u8 = 0b0010;
/// Only single, with either.
const F_S: u8 = 0b0101;
/// An element of an index: a half, a single or a double.
const F_INDEXED: u8 = 0b1101;
const S: u8 = 0b0100;

/// `SHADD` to `FDIV`.
const THREE_SAME: &[Row] = &[
    [0b00000, BHS, BHS],
    [0b00001, ALL, ALL],
    [0b00010, BHS, BHS],
    [0b00011, ALL, ALL],
    [0b00100, BHS, BHS],
    [0b00101, ALL, ALL],
    [0b00110, ALL, ALL],
    [0b00111, ALL, ALL],
    [0b01000, ALL, ALL],
    [0b01001, ALL, ALL],
    [0b01010, ALL, ALL],
    [0b01011, ALL, ALL],
    [0b01100, BHS, BHS],
    [0b01101, BHS, BHS],
    [0b01110, BHS, BHS],
    [0b01111, BHS, BHS],
    [0b10000, ALL, ALL],
    [0b10001, ALL, ALL],
    [0b10010, BHS, BHS],
    [0b10011, BHS, B],
    [0b10100, BHS, BHS],
    [0b10101, BHS, BHS],
    [0b10110, HS, HS],
    [0b10111, ALL, NONE],
    [0b11000, ALL, ALL],
    [0b11001, ALL, F_S],
    [0b11010, ALL, ALL],
    [0b11011, F_LOW, F_LOW],
    [0b11100, F_LOW, ALL],
    [0b11101, F_S, ALL],
    [0b11110, ALL, ALL],
    [0b11111, ALL, F_LOW],
];

/// `REV64` to `FSQRT`.
const TWO_REGISTERS: &[Row] = &[
    [0b00000, BHS, BH],
    [0b00001, B, NONE],
    [0b00010, BHS, BHS],
    [0b00011, ALL, ALL],
    [0b00100, BHS, BHS],
    [0b00101, B, BH],
    [0b00110, BHS, BHS],
    [0b00111, ALL, ALL],
    [0b01000, ALL, ALL],
    [0b01001, ALL, ALL],
    [0b01010, ALL, NONE],
    [0b01011, ALL, ALL],
    [0b01100, F_HIGH, F_HIGH],
    [0b01101, F_HIGH, F_HIGH],
    [0b01110, F_HIGH, NONE],
    [0b01111, F_HIGH, F_HIGH],
    [0b10010, BHS, BHS],
    [0b10011, NONE, BHS],
    [0b10100, BHS, BHS],
    [0b10110, F_LOW, F_LOW_D],
    [0b10111, F_LOW, NONE],
    [0b11000, ALL, F_LOW],
    [0b11001, ALL, ALL],
    [0b11010, ALL, ALL],
    [0b11011, ALL, ALL],
    [0b11100, F_LOW | F_HIGH_S, F_LOW | F_HIGH_S],
    [0b11101, ALL, ALL],
    [0b11110, F_LOW, F_LOW],
    [0b11111, F_LOW, ALL],
];

/// `SADDLV` to `FMINV`.
const ACROSS_LANES: &[Row] = &[
    [0b00011, BHS, BHS],
    [0b01010, BHS, BHS],
    [0b11010, BHS, BHS],
    [0b11011, BHS, NONE],
    [0b01100, F_S, F_S],
    [0b01111, F_S, F_S],
];

/// `SADDL` to `PMULL`.
const THREE_DIFFERENT: &[Row] = &[
    [0b0000, BHS, BHS],
    [0b0001, BHS, BHS],
    [0b0010, BHS, BHS],
    [0b0011, BHS, BHS],
    [0b0100, BHS, BHS],
    [0b0101, BHS, BHS],
    [0b0110, BHS, BHS],
    [0b0111, BHS, BHS],
    [0b1000, BHS, BHS],
    [0b1001, HS, NONE],
    [0b1010, BHS, BHS],
    [0b1011, HS, NONE],
    [0b1100, BHS, BHS],
    [0b1101, HS, NONE],
    [0b1110, BD, NONE],
];

/// `MLA` to `FMULX` by an element.
const INDEXED: &[Row] = &[
    [0b0000, S, HS],
    [0b0001, F_INDEXED, NONE],
    [0b0010, HS, HS],
    [0b0011, HS, NONE],
    [0b0100, S, HS],
    [0b0101, F_INDEXED, NONE],
    [0b0110, HS, HS],
    [0b0111, HS, NONE],
    [0b1000, HS, S],
    [0b1001, F_INDEXED, F_INDEXED],
    [0b1010, HS, HS],
    [0b1011, HS, NONE],
    [0b1100, HS, S],
    [0b1101, HS, HS],
    [0b1110, S, S],
    [0b1111, NONE, HS],
];

/// Shifts by an immediate: the sizes are those of the highest bit of `immh`.
const SHIFTS: &[Row] = &[
    [0b00000, ALL, ALL],
    [0b00010, ALL, ALL],
    [0b00100, ALL, ALL],
    [0b00110, ALL, ALL],
    [0b01000, NONE, ALL],
    [0b01010, ALL, ALL],
    [0b01100, NONE, ALL],
    [0b01110, ALL, ALL],
    [0b10000, BHS, BHS],
    [0b10001, BHS, BHS],
    [0b10010, BHS, BHS],
    [0b10011, BHS, BHS],
    [0b10100, BHS, BHS],
    [0b11100, HS | D, HS | D],
    [0b11111, HS | D, HS | D],
];

/// Scalar `SQADD` to `FABD`.
const SCALAR_THREE_SAME: &[Row] = &[
    [0b00001, ALL, ALL],
    [0b00101, ALL, ALL],
    [0b00110, D, D],
    [0b00111, D, D],
    [0b01000, D, D],
    [0b01001, ALL, ALL],
    [0b01010, D, D],
    [0b01011, ALL, ALL],
    [0b10000, D, D],
    [0b10001, D, D],
    [0b10110, HS, HS],
    [0b11010, NONE, F_HIGH],
    [0b11011, F_LOW, NONE],
    [0b11100, F_LOW, ALL],
    [0b11101, NONE, ALL],
    [0b11111, ALL, NONE],
];

/// Scalar `SUQADD` to `FRECPX`.
const SCALAR_TWO_REGISTERS: &[Row] = &[
    [0b00011, ALL, ALL],
    [0b00111, ALL, ALL],
    [0b01000, D, D],
    [0b01001, D, D],
    [0b01010, D, NONE],
    [0b01011, D, D],
    [0b01100, F_HIGH, F_HIGH],
    [0b01101, F_HIGH, F_HIGH],
    [0b01110, F_HIGH, NONE],
    [0b10010, NONE, BHS],
    [0b10100, BHS, BHS],
    [0b10110, NONE, F_LOW_D],
    [0b11010, ALL, ALL],
    [0b11011, ALL, ALL],
    [0b11100, F_LOW, F_LOW],
    [0b11101, ALL, ALL],
    [0b11111, F_HIGH, NONE],
];

/// Scalar `ADDP` to `FMINP`.
const SCALAR_PAIRWISE: &[Row] = &[
    [0b11011, D, NONE],
    [0b01100, F_S, ALL],
    [0b01101, F_LOW_S, F_LOW],
    [0b01111, F_S, ALL],
];

/// Scalar multiplications by an element.
const SCALAR_INDEXED: &[Row] = &[
    [0b0001, F_INDEXED, NONE],
    [0b0011, HS, NONE],
    [0b0101, F_INDEXED, NONE],
    [0b0111, HS, NONE],
    [0b1001, F_INDEXED, F_INDEXED],
    [0b1011, HS, NONE],
    [0b1100, HS, NONE],
    [0b1101, HS, HS],
    [0b1111, NONE, HS],
];

/// Scalar shifts by an immediate.
const SCALAR_SHIFTS: &[Row] = &[
    [0b00000, D, D],
    [0b00010, D, D],
    [0b00100, D, D],
    [0b00110, D, D],
    [0b01000, NONE, D],
    [0b01010, D, D],
    [0b01100, NONE, ALL],
    [0b01110, ALL, ALL],
    [0b10000, NONE, BHS],
    [0b10001, NONE, BHS],
    [0b10010, BHS, BHS],
    [0b10011, BHS, BHS],
    [0b11100, HS | D, HS | D],
    [0b11111, HS | D, HS | D],
];

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
