//! Programs of random instructions: they end, and stay within their memory.

mod support;

use axebpf_vm::{Context, Insn, Program, RunError};
use proptest::prelude::*;
use support::{EXIT, insn, run_on};

/// Any instruction, with opcodes and registers mostly such that it decodes.
fn any_insn() -> impl Strategy<Value = Insn> {
    let imm = prop_oneof![
        0..16i32,
        -16..0i32,
        any::<i32>(),
        Just(0xf1),
        Just(0x01),
        Just(0xe1)
    ];
    let off = prop_oneof![-16..16i16, -520..8i16, Just(0), any::<i16>()];
    (any::<u8>(), 0..11u8, 0..11u8, off, imm).prop_map(|(opcode, dst, src, off, imm)| {
        // Cleared where the instruction does not use them.
        let x = opcode & 8 != 0;
        match opcode & 7 {
            4 | 7 if opcode & 0xf0 == 0xd0 => {
                insn(opcode, dst, 0, 0, [16, 32, 64][imm as usize % 3])
            }
            4 | 7 if x => insn(opcode, dst, src, 0, 0),
            4 | 7 => insn(opcode, dst, 0, 0, imm),
            5 | 6 if x => insn(opcode, dst, src, off % 8, 0),
            5 | 6 => insn(opcode, dst, 0, off % 8, imm),
            1 => insn(opcode, dst, src, off, 0),
            2 => insn(opcode, dst, 0, off, imm),
            _ => insn(opcode, dst, src, off, imm),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn programs_end_within_their_memory(
        candidates in prop::collection::vec(any_insn(), 1..60),
    ) {
        // What does not decode by itself is left out, so that most programs get to run.
        let mut insns: Vec<_> = candidates
            .into_iter()
            .filter(|insn| {
                let alone = if insn.class() == 5 || insn.class() == 6 {
                    Insn { off: 0, imm: if insn.opcode & 8 == 0 { insn.imm } else { 0 }, ..*insn }
                } else {
                    *insn
                };
                support::program(&[alone, EXIT]).is_ok()
            })
            .collect();
        insns.push(EXIT);
        let Ok(program) = support::program(&insns) else { return Ok(()) };
        program.set_budget(10_000);
        // Guard bytes on both sides of the memory show a write outside of it.
        let mut arena = [0xa5u8; 64 + 32 + 64];
        let outcome = run_on(&program, Context::writable(&mut arena[64..96]));
        prop_assert!(arena[..64].iter().chain(&arena[96..]).all(|byte| *byte == 0xa5));
        if let Err(RunError::FellOff { insn }) = outcome {
            prop_assert!(false, "fell off at {}", insn);
        }
    }

    #[test]
    fn any_bytes_are_a_program_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Program::from_insns(&bytes, &[]);
    }
}
