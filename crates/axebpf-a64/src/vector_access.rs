//! Loads and stores of vector and floating-point registers (ARM ARM C4.1.96).

use crate::class::{Refusal, Verdict, out_of_line_if};
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    match word.bits(29, 27) {
        0b001 if !word.bit(31) => out_of_line_if(structure_is_allocated(word)),
        0b011 if word.bits(25, 24) == 0 => Err(Refusal::VectorLiteral),
        0b101 => pair(word),
        0b111 => out_of_line_if(transfer_is_allocated(word)),
        _ => Err(Refusal::Vector),
    }
}

/// Classifies loads and stores of pairs.
fn pair(word: Word) -> Verdict {
    let is_load = word.bit(22);
    if word.bits(31, 30) == 0b11 {
        return Err(Refusal::Unknown);
    }
    if is_load && word.bits(4, 0) == word.bits(14, 10) {
        return Err(Refusal::Unpredictable);
    }
    out_of_line_if(true)
}

/// Tells whether a load or store of one register exists.
fn transfer_is_allocated(word: Word) -> bool {
    // 128 bits are the only size beside that of bits 31 and 30.
    let is_sized = !word.bit(23) || word.bits(31, 30) == 0;
    let is_addressed = match (word.bit(24), word.bit(21), word.bits(11, 10)) {
        (true, ..) | (false, false, 0b00 | 0b01 | 0b11) => true,
        (false, true, 0b10) => word.bit(14),
        _ => false,
    };
    is_sized && is_addressed
}

/// Tells whether a load or store of structures exists: `LD1` to `LD4`, `ST1` to `ST4`, `LD1R` to `LD4R`.
fn structure_is_allocated(word: Word) -> bool {
    let is_post_indexed = word.bit(23);
    let no_offset = word.bits(20, 16) == 0;
    if word.bit(24) {
        return (is_post_indexed || no_offset) && one_structure_is_allocated(word);
    }
    if word.bit(21) || !is_post_indexed && !no_offset {
        return false;
    }
    match word.bits(15, 12) {
        // One to four registers with LD1 and ST1.
        0b0010 | 0b0110 | 0b0111 | 0b1010 => true,
        // LD2 to LD4, for which a vector must have more than one element.
        0b0000 | 0b0100 | 0b1000 => word.bit(30) || word.bits(11, 10) != 0b11,
        _ => false,
    }
}

/// Tells whether a load or store of one structure, or of one to all elements, exists.
fn one_structure_is_allocated(word: Word) -> bool {
    let size = word.bits(11, 10);
    match word.bits(15, 14) {
        0b00 => true,
        0b01 => size & 1 == 0,
        0b10 => size == 0b00 || size == 0b01 && !word.bit(12),
        _ => word.bit(22) && !word.bit(12),
    }
}
