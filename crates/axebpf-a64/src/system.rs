//! Hints, barriers and system registers (ARM ARM C4.1.94, D23.2).

use crate::class::{Execution, Refusal, Verdict, out_of_line_if};
use crate::insn::Insn;
use crate::operand::{LandingPad, StateField};
use crate::word::Word;

/// Classifies hints, barriers, and what accesses system registers.
pub(crate) fn classify(word: Word) -> Verdict {
    if word.is(0xffff_f01f, 0xd503_201f) {
        return hint(word.bits(11, 5));
    }
    if word.is(0xffff_f01f, 0xd503_301f) {
        return out_of_line_if(barrier_is_allocated(word));
    }
    match word.bits(20, 19) {
        0b00 if word.is(0xfff8_f01f, 0xd500_401f) => state_immediate(word),
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

/// Classifies what writes an immediate into the processor state.
fn state_immediate(word: Word) -> Verdict {
    match word.0 {
        // CFINV, XAFLAG and AXFLAG, which only change the flags.
        0xd500_401f | 0xd500_403f | 0xd500_405f => Ok(Execution::OutOfLine),
        _ => Err(Refusal::ProcessorState),
    }
}

/// The bits of an instruction that name a system register.
const NAME: u32 = 0x001f_ffe0;

/// Returns the name of a system register, from its op0, op1, CRn, CRm and op2.
const fn name([op0, op1, crn, crm, op2]: [u32; 5]) -> u32 {
    op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// The parts of the processor state that are registers of their own.
const STATE: [(u32, StateField); 10] = [
    (name([3, 0, 4, 2, 0]), StateField::SpSel),
    (name([3, 0, 4, 2, 2]), StateField::CurrentEl),
    (name([3, 0, 4, 2, 3]), StateField::Pan),
    (name([3, 0, 4, 2, 4]), StateField::Uao),
    (name([3, 0, 4, 3, 0]), StateField::AllInt),
    (name([3, 3, 4, 2, 0]), StateField::Nzcv),
    (name([3, 3, 4, 2, 1]), StateField::Daif),
    (name([3, 3, 4, 2, 5]), StateField::Dit),
    (name([3, 3, 4, 2, 6]), StateField::Ssbs),
    (name([3, 3, 4, 2, 7]), StateField::Tco),
];

/// Registers that can be read and written, which no hit changes and no trap depends on.
const FREE: [u32; 11] = [
    // TPIDR_EL0, TPIDRRO_EL0, TPIDR_EL1, SP_EL0, FPCR, FPSR.
    name([3, 3, 13, 0, 2]),
    name([3, 3, 13, 0, 3]),
    name([3, 0, 13, 0, 4]),
    name([3, 0, 4, 1, 0]),
    name([3, 3, 4, 4, 0]),
    name([3, 3, 4, 4, 1]),
    // PAR_EL1, which the trap path puts back; ICC_PMR_EL1.
    name([3, 0, 7, 4, 0]),
    name([3, 0, 4, 6, 0]),
    // Of guests: VPIDR_EL2, VMPIDR_EL2, VTTBR_EL2.
    name([3, 4, 0, 0, 0]),
    name([3, 4, 0, 0, 5]),
    name([3, 4, 2, 1, 0]),
];

/// By what this holds, hypervisors know on which CPU they are, and the trap behind a displaced instruction has to know.
const TPIDR_EL2: u32 = name([3, 4, 13, 0, 2]);

/// Classifies accesses to system registers.
fn system_register(word: Word) -> Verdict {
    let register = word.0 & NAME;
    let is_read = word.bit(21);
    if let Some((_, field)) = STATE.iter().find(|(name, _)| *name == register) {
        return state_field(word, *field);
    }
    if FREE.contains(&register) {
        return Ok(Execution::OutOfLine);
    }
    if word.bits(20, 19) != 0b11 {
        return Err(Refusal::SystemRegister);
    }
    let [op1, crn, crm] = [word.bits(18, 16), word.bits(15, 12), word.bits(11, 8)];
    match crn {
        0 if is_read => out_of_line_if(identifies(op1, crm, word.bits(7, 5))),
        // Those of a guest under a host with FEAT_VHE, by their names for the host.
        _ if op1 == 5 => Ok(Execution::OutOfLine),
        // SPSR and ELR, ESR, FAR and HPFAR. At EL2 the names of EL1 may mean those of EL2.
        4 if crm == 0 => Err(Refusal::TrapRegister),
        5 | 6 => Err(Refusal::TrapRegister),
        // Control of the processor, of translation and of memory, threads.
        1 | 2 | 10 | 13 if is_read => Ok(Execution::OutOfLine),
        // Vectors, and the interface of the interrupt controller, and its virtual side.
        12 if is_read || crm >= 8 => Ok(Execution::OutOfLine),
        // Counters and timers, but no counters of performance.
        14 if crm < 8 => Ok(Execution::OutOfLine),
        0..=4 | 10 | 12 if !is_read => Err(Refusal::TrapControl),
        _ if !is_read && register == TPIDR_EL2 => Err(Refusal::TrapControl),
        _ => Err(Refusal::SystemRegister),
    }
}

/// Tells whether a register of CRn 0 says what the processor is and has.
fn identifies(op1: u32, crm: u32, op2: u32) -> bool {
    match (op1, crm) {
        // MIDR, MPIDR and REVIDR.
        (0, 0) => matches!(op2, 0 | 5 | 6),
        // Features; what is not allocated reads as zero.
        (0, 1..=7) => true,
        // Caches: CCSIDR, CLIDR, CSSELR, CTR; DCZID.
        (1, 0) => op2 <= 2,
        (2, 0) => op2 == 0,
        (3, 0) => matches!(op2, 1 | 7),
        _ => false,
    }
}

/// Classifies and decodes accesses to a part of the processor state.
fn state_field(word: Word, field: StateField) -> Verdict {
    match (word.bit(21), field) {
        (true, _) => Ok(Execution::Simulate(Insn::ReadState {
            dest: word.rd(),
            field,
        })),
        (false, StateField::Nzcv) => Ok(Execution::Simulate(Insn::WriteFlags { value: word.rd() })),
        (false, _) => Err(Refusal::ProcessorState),
    }
}
