//! Arithmetic: every operation of RFC 9669, tables 4 and 5, in every operand form, at its edge values.

mod support;

use axebpf_vm::Insn;
use support::{EXIT, eval, insn, lddw, mov};

const ALU: u8 = 0x04;
const ALU64: u8 = 0x07;

/// Runs `r0 op= r1` in class `class` with the operands in registers.
fn by_register(class: u8, op: u8, off: i16, a: u64, b: u64) -> u64 {
    let [a0, a1] = lddw(0, a);
    let [b0, b1] = lddw(1, b);
    eval(&[a0, a1, b0, b1, insn(op | 0x08 | class, 0, 1, off, 0), EXIT])
}

/// Runs `r0 op= b` in class `class` with an immediate.
fn by_immediate(class: u8, op: u8, off: i16, a: u64, b: i32) -> u64 {
    let [a0, a1] = lddw(0, a);
    eval(&[a0, a1, insn(op | class, 0, 0, off, b), EXIT])
}

/// Checks an operation in both forms, the immediate one where the operand can be one.
#[track_caller]
fn check(class: u8, op: u8, off: i16, cases: &[(u64, u64, u64)]) {
    for &(a, b, expected) in cases {
        let result = by_register(class, op, off, a, b);
        assert_eq!(
            result, expected,
            "{a:#x} op {b:#x} by register, got {result:#x}"
        );
        let imm = b as i32;
        let fits = if class == ALU64 {
            imm as i64 as u64 == b
        } else {
            b >> 32 == 0
        };
        if fits {
            let result = by_immediate(class, op, off, a, imm);
            assert_eq!(
                result, expected,
                "{a:#x} op {b:#x} by immediate, got {result:#x}"
            );
        }
    }
}

const MAX: u64 = u64::MAX;
const MIN64: u64 = i64::MIN as u64;
const MAX64: u64 = i64::MAX as u64;
const MIN32: u64 = 0x8000_0000;
const MAX32: u64 = 0x7fff_ffff;
const ONES32: u64 = 0xffff_ffff;
/// A 32-bit operand must not see these bits.
const HIGH: u64 = 0xdead_beef_0000_0000;

#[test]
fn add() {
    check(
        ALU64,
        0x00,
        0,
        &[
            (1, 2, 3),
            (MAX, 1, 0),
            (MAX64, 1, MIN64),
            (5, MAX, 4),
            (0, MIN64, MIN64),
        ],
    );
    check(
        ALU,
        0x00,
        0,
        &[
            (1, 2, 3),
            (ONES32, 1, 0),
            (HIGH | 7, 1, 8),
            (MAX32, 1, MIN32),
            (1, HIGH | 1, 2),
        ],
    );
}

#[test]
fn sub() {
    check(
        ALU64,
        0x10,
        0,
        &[(3, 2, 1), (0, 1, MAX), (MIN64, 1, MAX64), (0, MIN64, MIN64)],
    );
    check(
        ALU,
        0x10,
        0,
        &[
            (3, 2, 1),
            (0, 1, ONES32),
            (HIGH | 7, 1, 6),
            (MIN32, 1, MAX32),
            (1, HIGH, 1),
        ],
    );
}

#[test]
fn mul() {
    check(
        ALU64,
        0x20,
        0,
        &[
            (3, 4, 12),
            (MAX, MAX, 1),
            (1 << 63, 2, 0),
            (5, MAX, MAX - 4),
        ],
    );
    check(
        ALU,
        0x20,
        0,
        &[
            (3, 4, 12),
            (ONES32, ONES32, 1),
            (MIN32, 2, 0),
            (HIGH | 3, HIGH | 5, 15),
        ],
    );
}

#[test]
fn div_is_unsigned_and_by_zero_gives_zero() {
    check(
        ALU64,
        0x30,
        0,
        &[
            (7, 2, 3),
            (MAX, 2, MAX64),
            (9, 0, 0),
            (MIN64, MAX, 0),
            (MAX, MAX, 1),
        ],
    );
    // The immediate -3 is 0xffff_fffd unsigned for 32 bits, and extends its sign for 64.
    check(
        ALU64,
        0x30,
        0,
        &[(MAX - 2, -3i64 as u64, 1), (MAX - 3, -3i64 as u64, 0)],
    );
    check(
        ALU,
        0x30,
        0,
        &[
            (7, 2, 3),
            (ONES32, 2, MAX32),
            (HIGH | 9, 0, 0),
            (HIGH | 9, HIGH, 0),
            (ONES32, 0xffff_fffd, 1),
        ],
    );
}

#[test]
fn sdiv_truncates_and_overflows_to_itself() {
    let n = |value: i64| value as u64;
    check(
        ALU64,
        0x30,
        1,
        &[
            (n(-13), 4, n(-3)),
            (13, n(-4), n(-3)),
            (n(-13), n(-4), 3),
            (5, 0, 0),
            (MIN64, MAX, MIN64),
        ],
    );
    let n = |value: i32| u64::from(value as u32);
    check(
        ALU,
        0x30,
        1,
        &[
            (n(-13), 4, n(-3)),
            (13, n(-4), n(-3)),
            (n(-13), n(-4), 3),
            (HIGH | 5, 0, 0),
            (MIN32, ONES32, MIN32),
        ],
    );
}

#[test]
fn or_and_xor() {
    check(
        ALU64,
        0x40,
        0,
        &[(0b1100, 0b1010, 0b1110), (0, MAX, MAX), (HIGH, 1, HIGH | 1)],
    );
    check(
        ALU,
        0x40,
        0,
        &[
            (0b1100, 0b1010, 0b1110),
            (HIGH | 4, 1, 5),
            (0, ONES32, ONES32),
        ],
    );
    check(
        ALU64,
        0x50,
        0,
        &[
            (0b1100, 0b1010, 0b1000),
            (MAX, MAX - 1, MAX - 1),
            (HIGH | 7, 3, 3),
        ],
    );
    check(
        ALU,
        0x50,
        0,
        &[(0b1100, 0b1010, 0b1000), (HIGH | 7, HIGH | 3, 3)],
    );
    check(
        ALU64,
        0xa0,
        0,
        &[(0b1100, 0b1010, 0b0110), (MAX, MAX, 0), (HIGH, MAX, !HIGH)],
    );
    check(
        ALU,
        0xa0,
        0,
        &[
            (0b1100, 0b1010, 0b0110),
            (HIGH | 7, HIGH | 3, 4),
            (0, ONES32, ONES32),
        ],
    );
}

#[test]
fn shifts_mask_their_distance() {
    check(
        ALU64,
        0x60,
        0,
        &[
            (1, 63, MIN64),
            (1, 64, 1),
            (1, 65, 2),
            (1, MAX, MIN64),
            (MAX, 0, MAX),
        ],
    );
    check(
        ALU,
        0x60,
        0,
        &[
            (1, 31, MIN32),
            (1, 32, 1),
            (1, 33, 2),
            (HIGH | 1, 4, 16),
            (1, ONES32, MIN32),
        ],
    );
    check(
        ALU64,
        0x70,
        0,
        &[(MIN64, 63, 1), (MAX, 64, MAX), (4, 65, 2), (MAX, 1, MAX64)],
    );
    check(
        ALU,
        0x70,
        0,
        &[
            (MIN32, 31, 1),
            (ONES32, 32, ONES32),
            (HIGH | 4, 1, 2),
            (HIGH, 1, 0),
        ],
    );
    check(
        ALU64,
        0xc0,
        0,
        &[
            (MIN64, 63, MAX),
            (MAX, 64, MAX),
            (MIN64, 1, 3 << 62),
            (MAX64, 62, 1),
        ],
    );
    check(
        ALU,
        0xc0,
        0,
        &[
            (MIN32, 31, ONES32),
            (ONES32, 32, ONES32),
            (HIGH | 8, 1, 4),
            (MIN32, 1, 3 << 30),
        ],
    );
}

#[test]
fn modulo_by_zero_keeps_the_dividend() {
    check(
        ALU64,
        0x90,
        0,
        &[
            (7, 3, 1),
            (MAX, 10, 5),
            (HIGH | 9, 0, HIGH | 9),
            (5, MAX, 5),
        ],
    );
    check(
        ALU,
        0x90,
        0,
        &[
            (7, 3, 1),
            (ONES32, 10, 5),
            (HIGH | 9, 0, 9),
            (HIGH | 9, HIGH, 9),
        ],
    );
}

#[test]
fn smod_takes_the_sign_of_the_dividend() {
    let n = |value: i64| value as u64;
    check(
        ALU64,
        0x90,
        1,
        &[
            (n(-13), 3, n(-1)),
            (13, n(-3), 1),
            (n(-13), n(-3), n(-1)),
            (n(-5), 0, n(-5)),
            (MIN64, MAX, 0),
        ],
    );
    let n = |value: i32| u64::from(value as u32);
    check(
        ALU,
        0x90,
        1,
        &[
            (n(-13), 3, n(-1)),
            (13, n(-3), 1),
            (n(-13), n(-3), n(-1)),
            (HIGH | 5, 0, 5),
            (MIN32, ONES32, 0),
        ],
    );
}

#[test]
fn moves() {
    check(
        ALU64,
        0xb0,
        0,
        &[(1, MAX, MAX), (1, HIGH | 2, HIGH | 2), (1, 0, 0)],
    );
    check(
        ALU,
        0xb0,
        0,
        &[(HIGH, ONES32, ONES32), (HIGH, HIGH | 2, 2), (1, 0, 0)],
    );
}

#[test]
fn sign_extending_moves() {
    let movsx = |class, bits, value| by_register(class, 0xb0, bits, 0x55, value);
    assert_eq!(movsx(ALU64, 8, 0x1_7f), 0x7f);
    assert_eq!(movsx(ALU64, 8, 0x80), -0x80i64 as u64);
    assert_eq!(movsx(ALU64, 16, 0x1_7fff), 0x7fff);
    assert_eq!(movsx(ALU64, 16, 0x8000), -0x8000i64 as u64);
    assert_eq!(movsx(ALU64, 32, 0x1_7fff_ffff), 0x7fff_ffff);
    assert_eq!(movsx(ALU64, 32, MIN32), -0x8000_0000i64 as u64);
    assert_eq!(movsx(ALU, 8, HIGH | 0x7f), 0x7f);
    assert_eq!(movsx(ALU, 8, 0x80), 0xffff_ff80);
    assert_eq!(movsx(ALU, 16, HIGH | 0x7fff), 0x7fff);
    assert_eq!(movsx(ALU, 16, 0x8000), 0xffff_8000);
}

/// Runs an operation that has one operand.
fn unary(op: Insn, value: u64) -> u64 {
    let [low, high] = lddw(0, value);
    eval(&[low, high, op, EXIT])
}

#[test]
fn negation() {
    for (value, expected) in [(0, 0), (1, MAX), (MAX, 1), (MIN64, MIN64)] {
        assert_eq!(unary(insn(0x87, 0, 0, 0, 0), value), expected);
    }
    for (value, expected) in [(HIGH, 0), (1, ONES32), (HIGH | ONES32, 1), (MIN32, MIN32)] {
        assert_eq!(unary(insn(0x84, 0, 0, 0, 0), value), expected);
    }
}

#[test]
fn byte_order() {
    const VALUE: u64 = 0x1122_3344_5566_7788;
    let cases = [
        // To little-endian, which the machine is.
        (0xd4, 16, 0x7788),
        (0xd4, 32, 0x5566_7788),
        (0xd4, 64, VALUE),
        // To big-endian.
        (0xdc, 16, 0x8877),
        (0xdc, 32, 0x8877_6655),
        (0xdc, 64, 0x8877_6655_4433_2211),
        // Swapped whatever the machine.
        (0xd7, 16, 0x8877),
        (0xd7, 32, 0x8877_6655),
        (0xd7, 64, 0x8877_6655_4433_2211),
    ];
    for (opcode, bits, expected) in cases {
        assert_eq!(
            unary(insn(opcode, 0, 0, 0, bits), VALUE),
            expected,
            "{opcode:#x} {bits}"
        );
    }
}

#[test]
fn immediates_of_64_bits() {
    for value in [0, 1, MAX, HIGH | 5, 0x8000_0000, MIN64] {
        let [low, high] = lddw(0, value);
        assert_eq!(eval(&[low, high, EXIT]), value);
    }
}

#[test]
fn immediates_of_32_bits_extend_their_sign() {
    assert_eq!(eval(&[mov(0, -1), EXIT]), MAX);
    assert_eq!(eval(&[mov(0, i32::MIN), EXIT]), 0xffff_ffff_8000_0000);
}

#[test]
fn every_register_can_be_written_but_the_frame_pointer() {
    for register in 0..10 {
        let program = [mov(register, 7), support::mov_reg(0, register), EXIT];
        assert_eq!(eval(&program), 7, "r{register}");
    }
}
