//! Branches, exceptions and system instructions (ARM ARM C4.1.94).

use crate::Cond;
use crate::class::{Execution, Refusal, Verdict};
use crate::insn::Insn;
use crate::operand::{BranchIf, Comparand, Comparison, Size};
use crate::system;
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    if word.is(0x7c00_0000, 0x1400_0000) {
        return Ok(Execution::Simulate(immediate_branch(word)));
    }
    if word.is(0x7e00_0000, 0x3400_0000) {
        return Ok(Execution::Simulate(compare_branch(word)));
    }
    if word.is(0x7e00_0000, 0x3600_0000) {
        return Ok(Execution::Simulate(test_branch(word)));
    }
    // B.cond, and BC.cond, which differs in what it tells the branch predictor.
    if word.is(0xff00_0000, 0x5400_0000) {
        return Ok(Execution::Simulate(Insn::BranchCond {
            cond: Cond::from_field(word.0),
            offset: word.signed(23, 5) << 2,
        }));
    }
    if word.is(0xff00_0000, 0xd400_0000) {
        return Err(Refusal::Exception);
    }
    if word.is(0xfe00_0000, 0xd600_0000) {
        return register_branch(word);
    }
    if word.is(0xffc0_0000, 0xd500_0000) {
        return system::classify(word);
    }
    if word.is(0x7e00_0000, 0x7400_0000) {
        return compare_two(word);
    }
    Err(Refusal::Unknown)
}

/// Decodes `B` and `BL`.
fn immediate_branch(word: Word) -> Insn {
    let offset = word.signed(25, 0) << 2;
    if word.bit(31) {
        Insn::BranchLink { offset }
    } else {
        Insn::Branch { offset }
    }
}

/// Returns when a `CBZ`, `CBNZ`, `TBZ` or `TBNZ` branches.
fn when(word: Word) -> BranchIf {
    if word.bit(24) {
        BranchIf::NonZero
    } else {
        BranchIf::Zero
    }
}

/// Decodes `CBZ` and `CBNZ`.
fn compare_branch(word: Word) -> Insn {
    Insn::CompareBranch {
        reg: word.rd(),
        width: word.width(),
        when: when(word),
        offset: word.signed(23, 5) << 2,
    }
}

/// Decodes `TBZ` and `TBNZ`.
fn test_branch(word: Word) -> Insn {
    Insn::TestBranch {
        reg: word.rd(),
        bit: (word.bits(31, 31) << 5 | word.bits(23, 19)) as u8,
        when: when(word),
        offset: word.signed(18, 5) << 2,
    }
}

/// Classifies and decodes branches to registers.
fn register_branch(word: Word) -> Verdict {
    let target = word.rn();
    match word.0 & 0xffff_fc1f {
        0xd61f_0000 => return Ok(Execution::Simulate(Insn::BranchReg { target })),
        0xd63f_0000 => return Ok(Execution::Simulate(Insn::BranchLinkReg { target })),
        0xd65f_0000 => return Ok(Execution::Simulate(Insn::Ret { target })),
        _ => {}
    }
    if word.bits(20, 16) != 31 {
        return Err(Refusal::Unknown);
    }
    match (word.bits(24, 21), word.bits(15, 10)) {
        (0b0100 | 0b0101, _) => Err(Refusal::ExceptionReturn),
        (_, 0b00_0010 | 0b00_0011) => Err(Refusal::AuthenticatedBranch),
        _ => Err(Refusal::Unknown),
    }
}

/// Classifies and decodes branches on a comparison (`FEAT_CMPBR`).
fn compare_two(word: Word) -> Verdict {
    let has_immediate = word.bit(24);
    let test = match (word.bits(23, 21), has_immediate) {
        (0b000, _) => Comparison::Greater,
        (0b001, false) => Comparison::GreaterOrEqual,
        (0b001, true) => Comparison::Less,
        (0b010, _) => Comparison::Higher,
        (0b011, false) => Comparison::HigherOrSame,
        (0b011, true) => Comparison::Lower,
        (0b110, _) => Comparison::Equal,
        (0b111, _) => Comparison::NotEqual,
        _ => return Err(Refusal::Unknown),
    };
    let (size, right) = match (word.bits(15, 14), has_immediate) {
        (imm, true) if imm & 1 == 0 => (
            word.width().into(),
            Comparand::Immediate(word.bits(20, 15) as u8),
        ),
        (0b00, false) => (word.width().into(), Comparand::Reg(word.rm())),
        (0b10, false) if !word.bit(31) => (Size::Byte, Comparand::Reg(word.rm())),
        (0b11, false) if !word.bit(31) => (Size::Half, Comparand::Reg(word.rm())),
        _ => return Err(Refusal::Unknown),
    };
    Ok(Execution::Simulate(Insn::CompareTwo {
        test,
        left: word.rd(),
        right,
        size,
        offset: word.signed(13, 5) << 2,
    }))
}
