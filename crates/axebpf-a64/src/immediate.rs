//! Data processing with an immediate (ARM ARM C4.1.93).

use crate::class::{Execution, Refusal, Verdict, out_of_line_if};
use crate::insn::Insn;
use crate::operand::{AddSub, MoveWide, Width};
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    match word.bits(25, 23) {
        0b000 | 0b001 => Ok(Execution::Simulate(pc_relative(word))),
        0b010 => Ok(Execution::Simulate(add_sub(word))),
        0b100 => out_of_line_if(logical_is_allocated(word)),
        0b101 => move_wide(word),
        0b110 => out_of_line_if(bitfield_is_allocated(word)),
        0b111 => out_of_line_if(extract_is_allocated(word)),
        _ => Err(Refusal::Unknown),
    }
}

/// Decodes `ADR` and `ADRP`.
fn pc_relative(word: Word) -> Insn {
    let offset = word.signed(23, 5) << 2 | i64::from(word.bits(30, 29));
    let dest = word.rd();
    if word.bit(31) {
        Insn::Adrp {
            dest,
            offset: offset << 12,
        }
    } else {
        Insn::Adr { dest, offset }
    }
}

/// Decodes `ADD`, `ADDS`, `SUB` and `SUBS`.
fn add_sub(word: Word) -> Insn {
    let op = if word.bit(30) {
        AddSub::Sub
    } else {
        AddSub::Add
    };
    let imm = word.bits(21, 10) << if word.bit(22) { 12 } else { 0 };
    let (left, width) = (word.rn_sp(), word.width());
    if word.bit(29) {
        Insn::AddSubFlags {
            op,
            dest: word.rd(),
            left,
            width,
            imm,
        }
    } else {
        Insn::AddSub {
            op,
            dest: word.rd_sp(),
            left,
            width,
            imm,
        }
    }
}

/// Classifies and decodes `MOVZ`, `MOVN` and `MOVK`.
fn move_wide(word: Word) -> Verdict {
    let op = match word.bits(30, 29) {
        0b00 => MoveWide::Not,
        0b10 => MoveWide::Zero,
        0b11 => MoveWide::Keep,
        _ => return Err(Refusal::Unknown),
    };
    let half = word.bits(22, 21);
    if word.width() == Width::W && half > 1 {
        return Err(Refusal::Unknown);
    }
    Ok(Execution::Simulate(Insn::MoveWide {
        op,
        dest: word.rd(),
        width: word.width(),
        imm: word.bits(20, 5) as u16,
        shift: 16 * half as u8,
    }))
}

/// Tells whether the immediate of a logical instruction is one (ARM ARM, `DecodeBitMasks`).
fn logical_is_allocated(word: Word) -> bool {
    let (n, imms) = (word.bits(22, 22), word.bits(15, 10));
    if n == 1 && word.width() == Width::W {
        return false;
    }
    // The highest set bit of N:NOT(imms) is the logarithm of the size of the element.
    let pattern = n << 6 | !imms & 0x3f;
    match pattern.checked_ilog2() {
        None | Some(0) => false,
        Some(len) => {
            // An element of all ones is no mask.
            let levels = (1 << len) - 1;
            imms & levels != levels
        }
    }
}

/// Tells whether a bitfield move exists.
fn bitfield_is_allocated(word: Word) -> bool {
    let narrow_reaches_far = word.bit(21) || word.bit(15);
    word.bits(30, 29) != 0b11
        && word.bit(22) == word.bit(31)
        && (word.bit(31) || !narrow_reaches_far)
}

/// Tells whether an extract exists.
fn extract_is_allocated(word: Word) -> bool {
    word.bits(30, 29) == 0
        && !word.bit(21)
        && word.bit(22) == word.bit(31)
        && (word.bit(31) || !word.bit(15))
}
