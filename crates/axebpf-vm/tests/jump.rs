//! Jumps, calls and the budget.

mod support;

use axebpf_vm::{Context, RunError};
use support::{EXIT, add, call_local, eval, fault, insn, ja, lddw, mov, mov_reg, program, run_on};

/// Tells whether `r1 op r2` jumps in class `class`, in both operand forms where there are two.
#[track_caller]
fn jumps(class: u8, op: u8, a: u64, b: u64) -> bool {
    let [a0, a1] = lddw(1, a);
    let [b0, b1] = lddw(2, b);
    let tail = |jump| [a0, a1, b0, b1, mov(0, 1), jump, mov(0, 0), EXIT];
    let by_register = eval(&tail(insn(op | 0x08 | class, 1, 2, 1, 0)));
    let imm = b as i32;
    if class == 0x06 && b >> 32 == 0 || class == 0x05 && imm as i64 as u64 == b {
        let by_immediate = eval(&tail(insn(op | class, 1, 0, 1, imm)));
        assert_eq!(by_immediate, by_register, "{a:#x} {op:#x} {b:#x}");
    }
    by_register == 1
}

/// Edge values, as 64-bit numbers. The low halves are edge values for 32 bits.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    u64::MAX,
    u64::MAX - 1,
    i64::MIN as u64,
    i64::MAX as u64,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0xffff_ffff_8000_0000,
];

#[track_caller]
fn check(op: u8, wide: impl Fn(u64, u64) -> bool, narrow: impl Fn(u32, u32) -> bool) {
    for a in EDGES {
        for b in EDGES {
            assert_eq!(jumps(0x05, op, a, b), wide(a, b), "{a:#x} {b:#x}, 64 bits");
            assert_eq!(
                jumps(0x06, op, a, b),
                narrow(a as u32, b as u32),
                "{a:#x} {b:#x}, 32 bits"
            );
        }
    }
}

#[test]
fn equality() {
    check(0x10, |a, b| a == b, |a, b| a == b);
    check(0x50, |a, b| a != b, |a, b| a != b);
    check(0x40, |a, b| a & b != 0, |a, b| a & b != 0);
}

#[test]
fn unsigned_order() {
    check(0x20, |a, b| a > b, |a, b| a > b);
    check(0x30, |a, b| a >= b, |a, b| a >= b);
    check(0xa0, |a, b| a < b, |a, b| a < b);
    check(0xb0, |a, b| a <= b, |a, b| a <= b);
}

#[test]
fn signed_order() {
    check(0x60, |a, b| a as i64 > b as i64, |a, b| a as i32 > b as i32);
    check(
        0x70,
        |a, b| a as i64 >= b as i64,
        |a, b| a as i32 >= b as i32,
    );
    check(
        0xc0,
        |a, b| (a as i64) < b as i64,
        |a, b| (a as i32) < b as i32,
    );
    check(
        0xd0,
        |a, b| a as i64 <= b as i64,
        |a, b| a as i32 <= b as i32,
    );
}

#[test]
fn unconditional_jumps() {
    assert_eq!(eval(&[mov(0, 1), ja(1), mov(0, 2), EXIT]), 1);
    assert_eq!(
        eval(&[mov(0, 1), insn(0x06, 0, 0, 0, 1), mov(0, 2), EXIT]),
        1
    );
    assert_eq!(eval(&[ja(2), mov(0, 7), EXIT, ja(-3)]), 7);
    assert_eq!(eval(&[ja(2), mov(0, 7), EXIT, insn(0x06, 0, 0, 0, -3)]), 7);
}

#[test]
fn a_long_jump_goes_further_than_16_bits() {
    let mut insns = vec![insn(0x06, 0, 0, 0, 40_000)];
    insns.extend(std::iter::repeat_n(mov(0, 1), 40_000));
    insns.extend([mov(0, 9), EXIT]);
    assert_eq!(eval(&insns), 9);
}

/// Sums 1 to 10.
const LOOP: [axebpf_vm::Insn; 6] = [
    mov(0, 0),
    mov(1, 10),
    insn(0x0f, 0, 1, 0, 0),
    add(1, -1),
    insn(0x55, 1, 0, -3, 0),
    EXIT,
];

#[test]
fn loops() {
    assert_eq!(eval(&LOOP), 55);
}

#[test]
fn the_budget_is_exact() {
    let program = program(&LOOP).expect("an acceptable program");
    assert_eq!(program.budget(), 65_536);
    // Two to begin with, three for each round, and the exit.
    program.set_budget(33);
    assert_eq!(run_on(&program, Context::new(&[])), Ok(55));
    program.set_budget(32);
    assert_eq!(
        run_on(&program, Context::new(&[])),
        Err(RunError::Budget {
            insn: 5,
            budget: 32
        })
    );
    program.set_budget(31);
    assert_eq!(
        run_on(&program, Context::new(&[])),
        Err(RunError::Budget {
            insn: 5,
            budget: 31
        })
    );
    program.set_budget(28);
    assert_eq!(
        run_on(&program, Context::new(&[])),
        Err(RunError::Budget {
            insn: 4,
            budget: 28
        })
    );
    let stats = program.stats();
    assert_eq!((stats.runs, stats.budget_aborts, stats.aborts()), (4, 3, 3));
}

#[test]
fn an_endless_loop_ends() {
    assert_eq!(
        fault(&[mov(0, 0), ja(-1), EXIT]),
        RunError::Budget {
            insn: 1,
            budget: 65_536
        }
    );
}

#[test]
fn calls_keep_r6_to_r9_and_give_a_frame_of_their_own() {
    let insns = [
        mov(6, 60),
        mov(7, 70),
        mov(8, 80),
        mov(9, 90),
        mov(1, 5),
        support::store64_imm(10, -8, 11),
        call_local(7),
        // r0 = 6 + 60 + 70 + 80 + 90 + 11
        insn(0x0f, 0, 6, 0, 0),
        insn(0x0f, 0, 7, 0, 0),
        insn(0x0f, 0, 8, 0, 0),
        insn(0x0f, 0, 9, 0, 0),
        support::load64(1, 10, -8),
        insn(0x0f, 0, 1, 0, 0),
        EXIT,
        // The function.
        mov(6, 1),
        mov(7, 1),
        mov(8, 1),
        mov(9, 1),
        support::store64_imm(10, -8, 99),
        mov_reg(0, 1),
        add(0, 1),
        EXIT,
    ];
    let insns: Vec<_> = insns
        .iter()
        .copied()
        .filter(|insn| *insn != ja(0))
        .collect();
    assert_eq!(eval(&insns), 6 + 60 + 70 + 80 + 90 + 11);
}

#[test]
fn a_function_gets_a_zeroed_frame() {
    let insns = [
        call_local(2),
        call_local(1),
        EXIT,
        support::load64(0, 10, -8),
        support::store64_imm(10, -8, 99),
        EXIT,
    ];
    assert_eq!(eval(&insns), 0);
}

#[test]
fn a_function_reaches_the_frames_of_its_callers() {
    let insns = [
        support::store64_imm(10, -512, 3),
        mov_reg(1, 10),
        add(1, -512),
        call_local(2),
        support::load64(0, 10, -512),
        EXIT,
        support::load64(2, 1, 0),
        add(2, 4),
        support::store64(1, 0, 2),
        EXIT,
    ];
    assert_eq!(eval(&insns), 7);
}

#[test]
fn calls_by_register_go_to_functions_of_the_program_only() {
    let code = |distance| [insn(0x18, 3, 4, 0, distance), insn(0, 0, 0, 0, 0)];
    let [low, high] = code(3);
    let insns = [low, high, insn(0x8d, 3, 0, 0, 0), EXIT, mov(0, 42), EXIT];
    assert_eq!(eval(&insns), 42);
    // The register in the immediate, as in what LLVM before 19 makes.
    let insns = [low, high, insn(0x8d, 0, 0, 0, 3), EXIT, mov(0, 42), EXIT];
    assert_eq!(eval(&insns), 42);
    let [low, high] = code(4);
    let wild = [
        low,
        high,
        add(3, 1),
        insn(0x8d, 3, 0, 0, 0),
        EXIT,
        mov(0, 42),
        EXIT,
    ];
    assert!(matches!(
        fault(&wild),
        RunError::NotAFunction { insn: 3, .. }
    ));
    let number = [mov(3, 4), insn(0x8d, 3, 0, 0, 0), EXIT];
    assert_eq!(
        fault(&number),
        RunError::NotAFunction { insn: 1, target: 4 }
    );
}

#[test]
fn recursion_by_register_runs_out_of_frames() {
    // The function calls itself by the address in r3.
    let insns = [
        insn(0x18, 3, 4, 0, 3),
        insn(0, 0, 0, 0, 0),
        insn(0x8d, 3, 0, 0, 0),
        EXIT,
        insn(0x8d, 3, 0, 0, 0),
        EXIT,
    ];
    assert_eq!(fault(&insns), RunError::CallDepth { insn: 4, limit: 8 });
}

#[test]
fn eight_frames_are_enough_for_seven_calls() {
    // Function n calls function n + 1; the last one returns 7.
    let mut insns = Vec::new();
    for _ in 0..7 {
        insns.extend([call_local(2), add(0, 1), EXIT]);
    }
    insns.extend([mov(0, 7), EXIT]);
    assert_eq!(eval(&insns), 14);
}
