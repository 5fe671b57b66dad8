//! Accesses at fixed places in the frame, which have forms of their own.

mod support;

use std::sync::Arc;

use axebpf_maps::{MapKind, MapSpec};
use axebpf_vm::{Context, Insn, RunError};
use support::{
    EXIT, call, call_local, eval, fault, insn, ld_map, load64, map, mov, mov_reg, program,
    program_with, run, run_on, store64_imm, then,
};

/// The part of an opcode that says how long the number is, for each length.
const SIZES: [(i16, u8); 4] = [(1, 0x10), (2, 0x08), (4, 0x00), (8, 0x18)];

/// Writes a pattern at `off` and reads it back, by way of `r10` or of a register that nothing is known about.
fn round_trip(size: u8, off: i16, store: u8, load: u8) -> Vec<Insn> {
    vec![
        mov_reg(6, 10),
        insn(0x57, 1, 0, 0, 0),
        insn(0x0f, 6, 1, 0, 0),
        mov(2, 0x4534_2312),
        insn(0x63 | size, store, 2, off, 0),
        insn(0x61 | size, 0, load, off, 0),
        EXIT,
    ]
}

#[test]
fn every_place_is_the_same_by_both_ways() {
    for (len, size) in SIZES {
        for off in -512..=-len {
            let expected = 0x4534_2312u64 & (u64::MAX >> (64 - 8 * len));
            for (store, load) in [(10, 6), (6, 10), (10, 10)] {
                let result = eval(&round_trip(size, off, store, load));
                assert_eq!(result, expected, "{len} bytes at {off}");
            }
        }
    }
}

#[test]
fn immediates_are_stored_in_their_length() {
    for (len, size) in SIZES {
        for off in [-512, -8 - len, -8] {
            let store = insn(0x62 | size, 10, 0, off, -2);
            let expected = -2i64 as u64 & (u64::MAX >> (64 - 8 * len));
            let load = insn(0x61 | size, 0, 10, off, 0);
            assert_eq!(eval(&[store, load, EXIT]), expected, "{len} bytes at {off}");
        }
    }
}

#[test]
fn beyond_the_frame_is_refused() {
    for (len, size) in SIZES {
        for off in [-513, -512 - len, 1 - len, 0, 8, i16::MIN, i16::MAX] {
            let load = fault(&[insn(0x61 | size, 0, 10, off, 0), EXIT]);
            assert!(
                matches!(load, RunError::OutOfBounds { insn: 0, .. }),
                "{len} at {off}"
            );
            let store = fault(&[insn(0x62 | size, 10, 0, off, 1), mov(0, 0), EXIT]);
            assert!(
                matches!(store, RunError::OutOfBounds { insn: 0, .. }),
                "{len} at {off}"
            );
        }
    }
}

#[test]
fn a_run_starts_with_zeroes() {
    for off in (-512..0).step_by(8) {
        eval(&[store64_imm(10, off, -1), mov(0, 0), EXIT]);
        assert_eq!(eval(&[load64(0, 10, off), EXIT]), 0, "at {off}");
    }
}

#[test]
fn a_function_has_a_frame_of_its_own() {
    let insns = [
        store64_imm(10, -512, 7),
        call_local(2),
        load64(0, 10, -512),
        EXIT,
        store64_imm(10, -512, 8),
        store64_imm(10, -8, 9),
        mov(0, 0),
        EXIT,
    ];
    assert_eq!(eval(&insns), 7);
}

#[test]
fn another_program_finds_its_frame_ready() {
    let array = map(&MapSpec::new(MapKind::ProgArray, 4, 4, 1));
    support::install();
    let other = program_with(&[load64(0, 10, -512), EXIT], std::slice::from_ref(&array));
    array.write_program(0, Arc::new(other)).expect("a slot");
    // What an earlier run left is not to be seen.
    eval(&[store64_imm(10, -512, -1), mov(0, 0), EXIT]);
    let start = then(
        ld_map(2, 0).to_vec(),
        &[mov(3, 0), call(12), mov(0, -1), EXIT],
    );
    let start = program_with(&start, std::slice::from_ref(&array));
    assert_eq!(run(&start), Ok(0));
    array.clear_programs().expect("an array to empty");
}

#[test]
fn contexts_of_every_length_are_bounded() {
    for len in 0..=17usize {
        for (size, opcode) in SIZES {
            for off in 0..=17i16 {
                let load = program(&[insn(0x61 | opcode, 0, 1, off, 0), EXIT]);
                let result = run_on(&load.expect("a program"), Context::new(&[0; 17][..len]));
                let fits = off + size <= len as i16;
                assert_eq!(result.is_ok(), fits, "{size} bytes at {off} of {len}");
            }
        }
    }
}
