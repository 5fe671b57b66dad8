//! Comparing what became of a case.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use axebpf_a64::{BranchTargets, Execution, Insn, SimulateError, classify, simulate};

use crate::random::Random;
use crate::state::{GUARDED_CODE, OTHER_CODE, PAGE, State, Window, signal};
use crate::{Class, Disassembler, generate, oracle};

/// How many cases one run of the oracle gets, which bounds the memory that they take.
const RUN: usize = 50_000;

/// The bits of the processor state that programs see: the flags, `TCO`, `DIT`, `SSBS` and `BTYPE`.
const VISIBLE: u64 = 0xf << 28 | 0b11 << 24 | 1 << 12 | 0b11 << 10;

/// What the cases of a class came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// How many were compared.
    pub cases: usize,
    /// How many of them ended in an exception, the same on both sides.
    pub faults: usize,
}

/// Compares `cases` cases of `class`.
///
/// # Errors
///
/// When one differs, or the oracle fails.
pub fn check(class: &Class, cases: usize, oracle: &Path, random: &mut Random) -> Result<Report> {
    let mut report = Report::default();
    while report.cases < cases {
        let count = RUN.min(cases - report.cases);
        // One run executes each case at both places: another one would have other keys to sign addresses with.
        let before: Vec<[State; 2]> = (0..count).map(|_| pair(class, random)).collect();
        let after = oracle::execute(oracle, before.as_flattened())?;
        for (before, after) in before.iter().zip(after.as_chunks::<2>().0) {
            match compare(before, after) {
                Ok(outcome) => report.faults += usize::from(outcome == Outcome::Fault),
                Err(error) => bail!(
                    "{}: {error:#}\nbefore: {:#x?}",
                    describe(&before[0]),
                    before[0]
                ),
            }
        }
        report.cases += count;
    }
    Ok(report)
}

/// Makes up a case, and the same at another place, of which none branches to itself for ever.
fn pair(class: &Class, random: &mut Random) -> [State; 2] {
    loop {
        let here = generate::case(class, random);
        let pair = [here, generate::elsewhere(&here, random)];
        if !pair.iter().any(stays) {
            return pair;
        }
    }
}

/// Tells whether an instruction branches to itself.
fn stays(state: &State) -> bool {
    simulated(state)
        .is_some_and(|(after, _)| after.is_ok_and(|after| after.regs.pc == state.regs.pc))
}

/// Compares an instruction that was executed at two places.
fn compare(before: &[State; 2], after: &[State; 2]) -> Result<Outcome> {
    if classify(before[0].word as u32) == Ok(Execution::OutOfLine) {
        compare_places(before, after)
    } else {
        compare_simulated(&before[1], &after[1])?;
        compare_simulated(&before[0], &after[0])
    }
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Fault,
}

/// Simulates a case. Returns the state afterwards with the digest of memory, and the instruction.
fn simulated(before: &State) -> Option<(Result<State, SimulateError>, Insn)> {
    let Ok(Execution::Simulate(insn)) = classify(before.word as u32) else {
        return None;
    };
    let mut after = *before;
    let mut window = Window::filled(before.memory);
    let result = simulate(insn, &mut after.regs, &mut window, targets(before));
    after.memory = window.digest();
    Some((result.map(|()| after), insn))
}

/// Says whether the instruction of a case is in a guarded page.
pub(crate) fn targets(before: &State) -> BranchTargets {
    if (GUARDED_CODE..GUARDED_CODE + PAGE).contains(&before.regs.pc) {
        BranchTargets::Guarded
    } else {
        BranchTargets::Unguarded
    }
}

/// Compares a simulated instruction with the same one on the processor.
fn compare_simulated(before: &State, native: &State) -> Result<Outcome> {
    let Some((simulated, insn)) = simulated(before) else {
        bail!("it is not accepted");
    };
    expect(before, simulated, native).with_context(|| format!("{insn:?}"))
}

/// Compares what the simulator made of a case with what the processor made of it.
pub(crate) fn expect(
    before: &State,
    simulated: Result<State, SimulateError>,
    native: &State,
) -> Result<Outcome> {
    match simulated {
        Ok(mut after) => {
            after.regs.pc = untagged(after.regs.pc);
            same(&after, native)?;
            Ok(Outcome::Done)
        }
        Err(error) => {
            let is_undefined = matches!(
                error,
                SimulateError::BranchTarget { .. } | SimulateError::Privileged
            );
            ensure!(
                is_undefined == (native.word == signal::ILL) && native.word != signal::TRAP,
                "the simulator says {error}, the processor signal {}",
                native.word
            );
            // A store may have been done in part, which does no harm, since it is repeated.
            let after = State {
                memory: native.memory,
                ..*before
            };
            same(&after, native)?;
            Ok(Outcome::Fault)
        }
    }
}

/// Compares an instruction at two places.
fn compare_places(
    [before, there_before]: &[State; 2],
    [after, there_after]: &[State; 2],
) -> Result<Outcome> {
    let moved = |before: &State, after: &State| after.regs.pc.wrapping_sub(before.regs.pc);
    ensure!(
        there_after.word != signal::ILL,
        "the processor says that it is undefined"
    );
    ensure!(
        (OTHER_CODE..OTHER_CODE + PAGE).contains(&there_after.regs.pc),
        "it went to {:#x}",
        there_after.regs.pc
    );
    if after.word == signal::ILL && before.regs.btype() != 0 {
        // The page is guarded, and this is no landing pad.
        return Ok(Outcome::Fault);
    }
    let mut expected = *there_after;
    expected.regs.pc = before.regs.pc + moved(there_before, there_after);
    let outcome = match moved(before, after) {
        0 => Outcome::Fault,
        4 => Outcome::Done,
        distance => bail!("it went {distance:#x} far"),
    };
    if outcome == Outcome::Fault {
        expected.memory = after.memory;
    }
    ensure!(
        (after.word, after.fault) == (there_after.word, there_after.fault)
            || outcome == Outcome::Done,
        "signal {} at {:#x} here and {} at {:#x} there",
        after.word,
        after.fault,
        there_after.word,
        there_after.fault
    );
    same(&expected, after)?;
    Ok(outcome)
}

/// Compares registers, flags, memory and the program counter.
fn same(expected: &State, native: &State) -> Result<()> {
    for (n, (left, right)) in expected.regs.regs.iter().zip(&native.regs.regs).enumerate() {
        ensure!(
            left == right,
            "x{n}: {left:#x} is {right:#x} on the processor"
        );
    }
    for (n, (left, right)) in expected.vectors.iter().zip(&native.vectors).enumerate() {
        ensure!(
            left == right,
            "v{n}: {left:#x?} is {right:#x?} on the processor"
        );
    }
    for (name, left, right) in [
        ("sp", expected.regs.sp, native.regs.sp),
        ("pc", expected.regs.pc, native.regs.pc),
        (
            "pstate",
            expected.regs.pstate & VISIBLE,
            native.regs.pstate & VISIBLE,
        ),
        ("fpsr", expected.fpsr, native.fpsr),
        ("fpcr", expected.fpcr, native.fpcr),
        ("the digest of memory", expected.memory, native.memory),
    ] {
        ensure!(
            left == right,
            "{name}: {left:#x} is {right:#x} on the processor"
        );
    }
    Ok(())
}

/// Removes the tag of an address, as a branch does for user programs of Linux.
fn untagged(pc: u64) -> u64 {
    if pc >> 55 & 1 == 0 { pc << 8 >> 8 } else { pc }
}

/// Renders the instruction of a case.
fn describe(state: &State) -> String {
    let word = state.word as u32;
    let text = Disassembler::find()
        .and_then(|llvm| llvm.text(word))
        .unwrap_or_default();
    format!("{word:#010x} {text}")
}
