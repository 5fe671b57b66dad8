//! Scalar floating point (ARM ARM C4.1.97.35 and after).

use crate::word::Word;

/// The formats of operands: single, double, half.
const SINGLE: u32 = 0b00;
const DOUBLE: u32 = 0b01;
const NO_FORMAT: u32 = 0b10;
const HALF: u32 = 0b11;

/// Tells whether a word of this group is an instruction.
pub(crate) fn is_allocated(word: Word) -> bool {
    let format = word.bits(23, 22);
    if word.bit(29) {
        return false;
    }
    if word.bit(24) {
        // FMADD to FNMSUB.
        return !word.bit(31) && format != NO_FORMAT;
    }
    if !word.bit(21) {
        return fixed_point_is_allocated(word, format);
    }
    if word.bits(15, 10) == 0 {
        return conversion_is_allocated(word, format);
    }
    !word.bit(31) && format != NO_FORMAT && arithmetic_is_allocated(word, format)
}

/// Tells whether a conversion between floating point and fixed point exists.
fn fixed_point_is_allocated(word: Word, format: u32) -> bool {
    let known = matches!(
        (word.bits(20, 19), word.bits(18, 16)),
        (0b11, 0b000 | 0b001) | (0b00, 0b010 | 0b011)
    );
    // 32 bits have no more than 32 after the point.
    known && format != NO_FORMAT && (word.bit(31) || word.bit(15))
}

/// Tells whether a conversion between floating point and integers, or a copy between their registers, exists.
fn conversion_is_allocated(word: Word, format: u32) -> bool {
    let is_wide = word.bit(31);
    match (word.bits(20, 19), word.bits(18, 16)) {
        (_, 0b000 | 0b001) | (0b00, 0b010..=0b101) => format != NO_FORMAT,
        // FMOV, between registers of one width.
        (0b00, _) => match format {
            SINGLE => !is_wide,
            DOUBLE => is_wide,
            HALF => true,
            _ => false,
        },
        // FMOV of the upper half of a vector.
        (0b01, 0b110 | 0b111) => is_wide && format == NO_FORMAT,
        // FJCVTZS.
        (0b11, 0b110) => !is_wide && format == DOUBLE,
        _ => false,
    }
}

/// Tells whether an operation on floating-point registers exists.
fn arithmetic_is_allocated(word: Word, format: u32) -> bool {
    match word.bits(11, 10) {
        // FCCMP and FCSEL.
        0b01 | 0b11 => true,
        // FMUL to FNMUL.
        0b10 => word.bits(15, 12) <= 0b1000,
        // FMOV of an immediate.
        _ if word.bit(12) => word.bits(9, 5) == 0,
        // FCMP; of zero, if bit 3 is set.
        _ if word.bit(13) => {
            word.bits(15, 14) == 0
                && word.bits(2, 0) == 0
                && (!word.bit(3) || word.bits(20, 16) == 0)
        }
        _ => word.bit(14) && one_source_is_allocated(word.bits(20, 15), format),
    }
}

/// Tells whether an operation on one floating-point register exists: `FMOV` to `FRINT64X`.
fn one_source_is_allocated(opcode: u32, format: u32) -> bool {
    match opcode {
        0..=3 | 8..=12 | 14 | 15 => true,
        // FCVT, to another format.
        4 => format != SINGLE,
        5 => format != DOUBLE,
        7 => format != HALF,
        // BFCVT.
        6 => format == DOUBLE,
        16..=19 => format != HALF,
        _ => false,
    }
}
