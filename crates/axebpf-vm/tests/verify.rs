//! What verification at load refuses, and what it lets pass.

mod support;

use axebpf_maps::{MapKind, MapSpec};
use axebpf_vm::{ArgKind, CheckError, Checks, EngineKind, Insn, Program};
use support::{
    EXIT, add, bytes, call, call_local, insn, ja, key, ld_map, load64, map, mov, mov_reg, store64,
    store64_imm, then,
};

/// `if dst == 0 goto +off`.
const fn jeq0(dst: u8, off: i16) -> Insn {
    insn(0x15, dst, 0, off, 0)
}

fn verify(insns: &[Insn]) -> Result<(), CheckError> {
    verify_with(insns, MapKind::Hash)
}

fn verify_with(insns: &[Insn], kind: MapKind) -> Result<(), CheckError> {
    let spec = match kind {
        MapKind::RingBuf => MapSpec::ring(4096),
        MapKind::ProgArray => MapSpec::new(kind, 4, 4, 4),
        _ => MapSpec::new(kind, 4, 8, 4),
    };
    let maps = [map(&spec)];
    Program::with_checks(Checks::Full, EngineKind::Interp, &bytes(insns), &maps).map(drop)
}

fn uninitialized(insn: usize, register: u8) -> Result<(), CheckError> {
    Err(CheckError::UninitializedRegister { insn, register })
}

#[test]
fn code_that_nothing_reaches() {
    let unreachable = |insn| Err(CheckError::Unreachable { insn });
    assert_eq!(verify(&[mov(0, 0), EXIT, mov(0, 1), EXIT]), unreachable(2));
    assert_eq!(verify(&[mov(0, 0), ja(1), mov(0, 1), EXIT]), unreachable(2));
    assert_eq!(verify(&[mov(0, 0), EXIT, ja(-1), EXIT]), unreachable(2));
    // A loop that only it itself reaches.
    assert_eq!(
        verify(&[mov(0, 0), ja(2), mov(0, 1), ja(-2), EXIT]),
        unreachable(2)
    );
}

#[test]
fn functions_are_reached_by_calls_and_by_address() {
    assert_eq!(verify(&[call_local(1), EXIT, mov(0, 0), EXIT]), Ok(()));
    let by_address = [
        insn(0x18, 3, 4, 0, 3),
        insn(0, 0, 0, 0, 0),
        insn(0x8d, 3, 0, 0, 0),
        EXIT,
    ];
    assert_eq!(
        verify(&then(by_address.to_vec(), &[mov(0, 0), EXIT])),
        Ok(())
    );
}

#[test]
fn registers_are_written_before_they_are_read() {
    assert_eq!(verify(&[EXIT]), uninitialized(0, 0));
    assert_eq!(verify(&[mov_reg(0, 3), EXIT]), uninitialized(0, 3));
    assert_eq!(
        verify(&[mov(0, 0), insn(0x0f, 0, 9, 0, 0), EXIT]),
        uninitialized(1, 9)
    );
    assert_eq!(
        verify(&[store64(10, -8, 5), mov(0, 0), EXIT]),
        uninitialized(0, 5)
    );
    assert_eq!(verify(&[jeq0(4, 0), mov(0, 0), EXIT]), uninitialized(0, 4));
    assert_eq!(verify(&[load64(0, 7, 0), EXIT]), uninitialized(0, 7));
    // Compare-and-exchange reads r0.
    assert_eq!(
        verify(&[insn(0xdb, 10, 1, -8, 0xf1), EXIT]),
        uninitialized(0, 0)
    );
    // The main function starts with its arguments and the frame pointer.
    assert_eq!(
        verify(&[mov_reg(0, 1), insn(0x0f, 0, 2, 0, 0), EXIT]),
        Ok(())
    );
    assert_eq!(verify(&[mov_reg(0, 10), EXIT]), Ok(()));
}

#[test]
fn every_path_counts() {
    // r0 is written on one of two paths.
    assert_eq!(verify(&[jeq0(1, 1), mov(0, 1), EXIT]), uninitialized(2, 0));
    assert_eq!(
        verify(&[jeq0(1, 2), mov(0, 1), ja(1), mov(0, 2), EXIT]),
        Ok(())
    );
    // The second turn of the loop reads what the first one's call took away.
    let turns = [mov(3, 0), mov_reg(0, 3), call(5), jeq0(0, -3), EXIT];
    assert_eq!(verify(&turns), uninitialized(1, 3));
}

#[test]
fn calls_take_the_registers_of_their_arguments() {
    for register in 1..=5 {
        let insns = [mov(register, 1), call(5), mov_reg(0, register), EXIT];
        assert_eq!(verify(&insns), uninitialized(2, register));
        let insns = [
            mov(register, 1),
            call_local(2),
            mov_reg(0, register),
            EXIT,
            mov(0, 0),
            EXIT,
        ];
        assert_eq!(verify(&insns), uninitialized(2, register));
    }
    for register in 6..=9 {
        assert_eq!(
            verify(&[mov(register, 1), call(5), mov_reg(0, register), EXIT]),
            Ok(())
        );
    }
}

#[test]
fn functions_start_with_the_arguments_of_all_their_callers() {
    let called = |before: &[Insn]| {
        let insns = then(before.to_vec(), &[call_local(1), EXIT, mov_reg(0, 3), EXIT]);
        verify(&insns)
    };
    assert_eq!(called(&[mov(3, 1)]), Ok(()));
    assert_eq!(called(&[]), uninitialized(2, 3));
    let private = [mov(6, 1), call_local(1), EXIT, mov_reg(0, 6), EXIT];
    assert_eq!(verify(&private), uninitialized(3, 6));
    // One of two callers does not set r3.
    let two = [
        mov(3, 1),
        call_local(2),
        call_local(1),
        EXIT,
        mov_reg(0, 3),
        EXIT,
    ];
    assert_eq!(verify(&two), uninitialized(4, 3));
}

#[test]
fn the_frame_has_512_bytes() {
    let outside = |offset, len| {
        Err(CheckError::OutsideFrame {
            insn: 0,
            offset,
            len,
        })
    };
    let store = |off| verify(&[store64_imm(10, off, 1), mov(0, 0), EXIT]);
    assert_eq!(store(-512), Ok(()));
    assert_eq!(store(-8), Ok(()));
    assert_eq!(store(-513), outside(-513, 8));
    assert_eq!(store(-7), outside(-7, 8));
    assert_eq!(store(0), outside(0, 8));
    assert_eq!(verify(&[load64(0, 10, 8), EXIT]), outside(8, 8));
    assert_eq!(
        verify(&[insn(0xc3, 10, 1, -2, 0), mov(0, 0), EXIT]),
        outside(-2, 4)
    );
}

#[test]
fn arguments_are_what_the_helper_takes() {
    let refused = |insns: &[Insn]| match verify(insns) {
        Err(CheckError::WrongArgument {
            arg,
            expected,
            found,
            ..
        }) => (arg, expected, found),
        other => panic!("{other:?}"),
    };
    let lookup = |map: &[Insn], key: &[Insn]| {
        then(
            then(then(vec![store64_imm(10, -8, 0)], map), key),
            &[call(1), mov(0, 0), EXIT],
        )
    };
    let frame = [mov_reg(2, 10), add(2, -8)];
    assert_eq!(verify(&lookup(&ld_map(1, 0), &frame)), Ok(()));
    assert_eq!(
        refused(&lookup(&[mov(1, 7)], &frame)),
        (1, ArgKind::Map, "a number")
    );
    assert_eq!(
        refused(&lookup(&[], &frame)),
        (1, ArgKind::Map, "the context")
    );
    assert_eq!(
        refused(&lookup(&[mov_reg(1, 10)], &frame)),
        (1, ArgKind::Map, "an address in the stack")
    );
    assert_eq!(
        refused(&lookup(&ld_map(1, 0), &[mov(2, 0)])),
        (2, ArgKind::Key, "a number")
    );
    assert_eq!(
        refused(&lookup(&ld_map(1, 0), &ld_map(2, 0))),
        (2, ArgKind::Key, "a map")
    );
    let output = |length: Insn| {
        then(
            then(vec![store64_imm(10, -8, 0)], &[mov_reg(1, 10), add(1, -8)]),
            &[length, mov(3, 0), call(113), mov(0, 0), EXIT],
        )
    };
    assert_eq!(verify(&output(mov(2, 8))), Ok(()));
    assert_eq!(
        refused(&output(mov_reg(2, 10))),
        (2, ArgKind::Length, "an address in the stack")
    );
    let submit = [mov(2, 0), call(132), mov(0, 0), EXIT];
    assert_eq!(refused(&submit), (1, ArgKind::Record, "the context"));
    let looped = [mov(1, 3), mov(2, 9), mov(3, 0), mov(4, 0), call(181), EXIT];
    assert_eq!(refused(&looped), (2, ArgKind::Function, "a number"));
}

#[test]
fn arguments_are_initialised() {
    let insns = then(
        ld_map(1, 0).to_vec(),
        &[mov_reg(2, 10), add(2, -8), call(2), EXIT],
    );
    assert_eq!(verify(&insns), uninitialized(4, 3));
}

#[test]
fn what_is_not_certain_passes() {
    // A map by way of the stack.
    let mut insns = ld_map(1, 0).to_vec();
    insns.extend([
        store64(10, -8, 1),
        store64_imm(10, -16, 0),
        load64(1, 10, -8),
    ]);
    insns.extend([mov_reg(2, 10), add(2, -16), call(1), mov(0, 0), EXIT]);
    assert_eq!(verify(&insns), Ok(()));
}

#[test]
fn helpers_have_kinds_of_maps() {
    let lookup = then(key(0), &[call(1), mov(0, 0), EXIT]);
    assert_eq!(verify_with(&lookup, MapKind::Array), Ok(()));
    let wrong = CheckError::WrongMapKind {
        insn: 5,
        helper: "map_lookup_elem",
        kind: MapKind::RingBuf,
    };
    assert_eq!(verify_with(&lookup, MapKind::RingBuf), Err(wrong));
    let reserve = then(
        ld_map(1, 0).to_vec(),
        &[mov(2, 8), mov(3, 0), call(131), mov(0, 0), EXIT],
    );
    assert!(matches!(
        verify(&reserve),
        Err(CheckError::WrongMapKind { insn: 4, .. })
    ));
}

#[test]
fn a_tail_call_is_made_by_the_main_function() {
    let tail = then(
        ld_map(2, 0).to_vec(),
        &[mov(3, 0), call(12), mov(0, 0), EXIT],
    );
    assert_eq!(verify_with(&tail, MapKind::ProgArray), Ok(()));
    let called = then(vec![call_local(1), EXIT], &tail);
    let refused = CheckError::TailCallInFunction { insn: 5 };
    assert_eq!(verify_with(&called, MapKind::ProgArray), Err(refused));
}

#[test]
fn bare_instructions_need_no_more_than_structure() {
    let program = Program::from_insns(&bytes(&[EXIT, EXIT]), &[]).expect("an acceptable program");
    assert_eq!(support::run(&program), Ok(0));
}

#[test]
fn errors_read_well() {
    let text = |insns: &[Insn]| verify(insns).expect_err("a refusal").to_string();
    assert_eq!(
        text(&[EXIT]),
        "instruction 0: r0 is read before it is written"
    );
    assert_eq!(
        text(&[mov(0, 0), EXIT, EXIT]),
        "instruction 2: nothing reaches this code"
    );
    assert_eq!(
        text(&[load64(0, 10, 8), EXIT]),
        "instruction 0: 8 bytes at r10+8 are outside of the stack frame"
    );
    assert_eq!(
        text(&[call(132), EXIT]),
        "instruction 0: argument 1 of bpf_ringbuf_submit is the context, not a reserved record"
    );
}
