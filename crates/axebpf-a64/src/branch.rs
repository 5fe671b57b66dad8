//! Branches, exceptions and system instructions (ARM ARM C4.1.94).

use crate::Cond;
use crate::class::{Execution, Refusal, Verdict, out_of_line_if};
use crate::insn::{BranchIf, Insn, LandingPad};
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
    if word.is(0xff00_0010, 0x5400_0000) {
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
        return system(word);
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

/// Classifies hints, barriers, and what accesses system registers.
fn system(word: Word) -> Verdict {
    if word.is(0xffff_f01f, 0xd503_201f) {
        return hint(word.bits(11, 5));
    }
    if word.is(0xffff_f01f, 0xd503_301f) {
        return out_of_line_if(barrier_is_allocated(word));
    }
    match word.bits(20, 19) {
        0b00 if word.is(0xfff8_f01f, 0xd500_401f) => Err(Refusal::ProcessorState),
        0b01 => Err(Refusal::SystemInstruction),
        0b10 | 0b11 => system_register(word),
        _ => Err(Refusal::Unknown),
    }
}

/// Classifies hints.
///
/// Hints that are not allocated do nothing today and may do something on a newer processor, so they are
/// refused.
fn hint(number: u32) -> Verdict {
    match number {
        // NOP, YIELD, DGH.
        0 | 1 | 6 => Ok(Execution::Simulate(Insn::Nop)),
        32 => Ok(Execution::Simulate(Insn::Bti(LandingPad::None))),
        34 => Ok(Execution::Simulate(Insn::Bti(LandingPad::Call))),
        36 => Ok(Execution::Simulate(Insn::Bti(LandingPad::Jump))),
        38 => Ok(Execution::Simulate(Insn::Bti(LandingPad::Both))),
        // WFE, WFI, SEV and SEVL. An exception return sets the event register, so a displaced WFE may not
        // wait, which it may do at any time.
        2..=5 => Ok(Execution::OutOfLine),
        // PSB CSYNC, TSB CSYNC, CSDB and CLRBHB.
        17 | 18 | 20 | 22 => Ok(Execution::OutOfLine),
        // Pointer authentication in the hint space. It reads registers, not the program counter.
        7 | 8 | 10 | 12 | 14 | 24..=31 => Ok(Execution::OutOfLine),
        _ => Err(Refusal::Unknown),
    }
}

/// Tells whether a barrier exists.
fn barrier_is_allocated(word: Word) -> bool {
    match word.bits(7, 5) {
        // CLREX, DSB, DMB, ISB.
        0b010 | 0b100 | 0b101 | 0b110 => true,
        // SB.
        0b111 => word.bits(11, 8) == 0,
        _ => false,
    }
}

/// Classifies accesses to system registers.
fn system_register(word: Word) -> Verdict {
    /// The bits that name a system register: op0, op1, CRn, CRm and op2.
    const NAME: u32 = 0x001f_ffe0;
    /// Registers that no hit changes: `TPIDR_EL0`, `TPIDRRO_EL0`, `TPIDR_EL1`, `TPIDR_EL2`, `SP_EL0`,
    /// `NZCV`.
    const UNTOUCHED: [u32; 6] = [
        0x001b_d040,
        0x001b_d060,
        0x0018_d080,
        0x001c_d040,
        0x0018_4100,
        0x001b_4200,
    ];
    /// Registers that can only be read: `MIDR_EL1`, `MPIDR_EL1`, `CNTFRQ_EL0`, `CNTPCT_EL0`, `CNTVCT_EL0`,
    /// `CTR_EL0`, `DCZID_EL0`.
    const READ_ONLY: [u32; 7] = [
        0x0018_0000,
        0x0018_00a0,
        0x001b_e000,
        0x001b_e020,
        0x001b_e040,
        0x001b_0020,
        0x001b_00e0,
    ];
    let name = word.0 & NAME;
    let is_read = word.bit(21);
    if UNTOUCHED.contains(&name) || is_read && READ_ONLY.contains(&name) {
        Ok(Execution::OutOfLine)
    } else {
        Err(Refusal::SystemRegister)
    }
}
