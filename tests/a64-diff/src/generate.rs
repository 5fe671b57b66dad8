//! Making up cases.

use axebpf_a64::{PtRegs, classify};

use crate::random::Random;
use crate::state::{CODE, GUARDED_CODE, OTHER_CODE, PAGE, State, WINDOW};
use crate::{Aim, Class};

/// The bits of FPCR that choose how to round and what to flush.
const ROUNDING: u64 = 0x07c0_0000;

/// What user programs may set in the processor state beside the flags and `BTYPE`: `TCO`, `DIT` and `SSBS`.
const SWITCHES: u64 = 1 << 25 | 1 << 24 | 1 << 12;

/// Makes up a case of `class`: an accepted word, a place for it, and registers.
pub(crate) fn case(class: &Class, random: &mut Random) -> State {
    let page = [CODE, GUARDED_CODE][random.below(2) as usize];
    let pc = page + place(random);
    let word = word(class, pc, random);
    let pstate = random.below(16) << 28 | random.bits() & SWITCHES | btype(random) << 10;
    let mut state = State {
        regs: PtRegs {
            pc,
            pstate,
            sp: near_memory(random) & !15,
            ..PtRegs::default()
        },
        vectors: [[0; 2]; 32],
        fpsr: 0,
        fpcr: [0, random.bits() & ROUNDING][random.below(2) as usize],
        memory: random.bits(),
        fault: 0,
        word: word.into(),
    };
    for reg in &mut state.regs.regs {
        *reg = value(class.aim, random);
    }
    for lane in state.vectors.as_flattened_mut() {
        *lane = lane_value(random);
    }
    aim(class.aim, word, &mut state.regs, random);
    state
}

/// Returns the same case at a place that has nothing in common with the first, where no landing pad is
/// needed.
pub(crate) fn elsewhere(state: &State, random: &mut Random) -> State {
    let mut state = *state;
    state.regs.pc = OTHER_CODE + place(random);
    state
}

/// Returns an offset into a page of code that leaves room for another instruction.
fn place(random: &mut Random) -> u64 {
    4 * random.below(PAGE / 4 - 1)
}

/// Returns `BTYPE`, mostly zero, so that what is no landing pad is executed.
fn btype(random: &mut Random) -> u64 {
    random.below(16).saturating_sub(12)
}

/// Makes up words of `class` until one is accepted.
fn word(class: &Class, pc: u64, random: &mut Random) -> u32 {
    loop {
        let mut word = random.word() & !class.mask | class.value;
        if class.aim == Aim::Literal {
            let target = near_memory(random) & !3;
            let imm = (target.wrapping_sub(pc) >> 2) as u32 & 0x7_ffff;
            word = word & !(0x7_ffff << 5) | imm << 5;
        }
        if classify(word).is_ok() {
            return word;
        }
    }
}

/// Returns an address in or at the end of the window.
fn near_memory(random: &mut Random) -> u64 {
    let middle = WINDOW + PAGE / 2;
    match random.below(32) {
        0 => [WINDOW, WINDOW + PAGE][random.below(2) as usize] + random.below(64) - 32,
        1 | 2 => middle + random.below(512) - 256,
        _ => middle + 16 * random.below(32) - 256,
    }
}

/// Returns a value for a register. Values that are not for memory never are addresses of it.
fn value(aim: Aim, random: &mut Random) -> u64 {
    match random.below(8) {
        0 => 0,
        1 => random.below(PAGE),
        2 => !random.below(PAGE),
        3 => 1 << random.below(64),
        4 if aim == Aim::Branch => CODE + random.below(PAGE),
        5 if aim == Aim::Branch => OTHER_CODE + 4 * random.below(PAGE / 4),
        4 => near_memory(random),
        5 => random.bits() >> 32,
        _ => random.bits(),
    }
}

/// Returns half of a vector register: bits, numbers, or what is special to arithmetic.
fn lane_value(random: &mut Random) -> u64 {
    let number = random.below(4096) as f64 / 16.0 - 100.0;
    match random.below(8) {
        0 => 0,
        1 => number.to_bits(),
        2 => u64::from((number as f32).to_bits()) * 0x1_0000_0001,
        3 => [f64::INFINITY, f64::NAN, -0.0, f64::MIN_POSITIVE / 2.0][random.below(4) as usize]
            .to_bits(),
        _ => random.bits(),
    }
}

/// Prepares the registers that `word` accesses memory with.
fn aim(aim: Aim, word: u32, regs: &mut PtRegs, random: &mut Random) {
    let (rn, rm) = ((word >> 5 & 31) as usize, (word >> 16 & 31) as usize);
    let mut base = near_memory(random);
    match aim {
        Aim::Anything | Aim::Literal | Aim::Branch => return,
        Aim::Base => {}
        Aim::BaseAndImmediate => {
            // 128 bits have a size of zero and say so elsewhere.
            let is_quad = word & 0xc480_0000 == 0x0480_0000;
            let scale = if is_quad { 4 } else { word >> 30 };
            base -= u64::from(word >> 10 & 0xfff) << scale;
        }
        Aim::BaseAndRegister => {
            if let Some(offset) = regs.regs.get_mut(rm) {
                *offset = random.below(16);
            }
        }
    }
    match regs.regs.get_mut(rn) {
        Some(reg) => *reg = base,
        // Some stores need an aligned stack pointer, and QEMU does not check.
        None => regs.sp = base & !15,
    }
}
