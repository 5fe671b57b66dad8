//! Loads, stores and atomic operations, and the bounds that every one of them is checked against.

mod support;

use axebpf_vm::{Access, Context, Insn, RunError};
use support::{EXIT, add, eval_on, fault, insn, lddw, load64, mov, mov_reg, program, run_on};

const BYTES: [u8; 16] = [
    0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8, 0x09, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f, 0x70,
];

fn load(opcode: u8, off: i16) -> u64 {
    let mut memory = BYTES;
    eval_on(&[insn(opcode, 0, 1, off, 0), EXIT], &mut memory)
}

#[test]
fn loads_extend_zeroes() {
    assert_eq!(load(0x71, 0), 0x81);
    assert_eq!(load(0x69, 0), 0x9281);
    assert_eq!(load(0x61, 0), 0xb4a3_9281);
    assert_eq!(load(0x79, 0), 0xf8e7_d6c5_b4a3_9281);
    assert_eq!(load(0x71, 15), 0x70);
}

#[test]
fn sign_extending_loads() {
    assert_eq!(load(0x91, 0), -0x7fi64 as u64);
    assert_eq!(load(0x91, 8), 0x09);
    assert_eq!(load(0x89, 0), 0x9281u16 as i16 as u64);
    assert_eq!(load(0x89, 8), 0x1a09);
    assert_eq!(load(0x81, 0), 0xb4a3_9281u32 as i32 as u64);
    assert_eq!(load(0x81, 8), 0x3c2b_1a09);
}

#[test]
fn unaligned_loads() {
    assert_eq!(load(0x69, 1), 0xa392);
    assert_eq!(load(0x61, 3), 0xe7d6_c5b4);
    assert_eq!(load(0x79, 5), 0x4d3c_2b1a_09f8_e7d6);
    assert_eq!(load(0x79, 8), 0x706f_5e4d_3c2b_1a09);
}

fn stored(insns: &[Insn]) -> [u8; 8] {
    let mut memory = [0xee; 8];
    let mut program = vec![mov(0, 0)];
    program.extend(insns);
    program.push(EXIT);
    eval_on(&program, &mut memory);
    memory
}

#[test]
fn stores_of_registers() {
    let [low, high] = lddw(2, 0x1122_3344_5566_7788);
    let store = |opcode, off| stored(&[low, high, insn(opcode, 1, 2, off, 0)]);
    assert_eq!(
        store(0x73, 0),
        [0x88, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee]
    );
    assert_eq!(
        store(0x6b, 2),
        [0xee, 0xee, 0x88, 0x77, 0xee, 0xee, 0xee, 0xee]
    );
    assert_eq!(
        store(0x63, 3),
        [0xee, 0xee, 0xee, 0x88, 0x77, 0x66, 0x55, 0xee]
    );
    assert_eq!(
        store(0x7b, 0),
        [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
    );
}

#[test]
fn stores_of_immediates() {
    let store = |opcode, off| stored(&[insn(opcode, 1, 0, off, -2)]);
    assert_eq!(
        store(0x72, 7),
        [0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xfe]
    );
    assert_eq!(
        store(0x6a, 1),
        [0xee, 0xfe, 0xff, 0xee, 0xee, 0xee, 0xee, 0xee]
    );
    assert_eq!(
        store(0x62, 4),
        [0xee, 0xee, 0xee, 0xee, 0xfe, 0xff, 0xff, 0xff]
    );
    assert_eq!(
        store(0x7a, 0),
        [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    );
}

/// Runs one atomic operation on `before` with `r2 = operand` and `r0 = r0`; returns memory, r2 and r0.
fn atomic(opcode: u8, imm: i32, before: u64, operand: u64, r0: u64) -> [u64; 3] {
    let [operand0, operand1] = lddw(2, operand);
    let [r0_0, r0_1] = lddw(0, r0);
    let mut memory = Aligned([before, 0, 0]);
    let insns = [
        operand0,
        operand1,
        r0_0,
        r0_1,
        insn(opcode, 1, 2, 0, imm),
        support::store64(1, 8, 2),
        support::store64(1, 16, 0),
        EXIT,
    ];
    eval_on(&insns, memory.bytes());
    memory.0
}

struct Aligned([u64; 3]);

impl Aligned {
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: every byte of a `u64` is initialised, and every pattern of bits is one.
        let (_, bytes, _) = unsafe { self.0.align_to_mut::<u8>() };
        bytes
    }
}

const OLD: u64 = 0xf0f0_f0f0_1234_5678;
const ARG: u64 = 0xffff_ffff_0000_00ff;
const HIGH: u64 = 0xf0f0_f0f0_0000_0000;

#[test]
fn atomic_updates_of_64_bits() {
    let cases = [
        (0x00, OLD.wrapping_add(ARG)),
        (0x40, OLD | ARG),
        (0x50, OLD & ARG),
        (0xa0, OLD ^ ARG),
    ];
    for (imm, new) in cases {
        assert_eq!(atomic(0xdb, imm, OLD, ARG, 7), [new, ARG, 7], "{imm:#x}");
        assert_eq!(
            atomic(0xdb, imm | 1, OLD, ARG, 7),
            [new, OLD, 7],
            "{imm:#x} with fetch"
        );
    }
    assert_eq!(atomic(0xdb, 0xe1, OLD, ARG, 7), [ARG, OLD, 7]);
}

#[test]
fn atomic_updates_of_32_bits_leave_the_upper_half() {
    let (old, arg) = (OLD as u32, ARG as u32);
    let cases = [
        (0x00, old.wrapping_add(arg)),
        (0x40, old | arg),
        (0x50, old & arg),
        (0xa0, old ^ arg),
    ];
    for (imm, new) in cases {
        let new = HIGH | u64::from(new);
        assert_eq!(atomic(0xc3, imm, OLD, ARG, 7), [new, ARG, 7], "{imm:#x}");
        let fetched = u64::from(old);
        assert_eq!(
            atomic(0xc3, imm | 1, OLD, ARG, 7),
            [new, fetched, 7],
            "{imm:#x} with fetch"
        );
    }
    assert_eq!(
        atomic(0xc3, 0xe1, OLD, ARG, 7),
        [HIGH | u64::from(arg), u64::from(old), 7]
    );
}

#[test]
fn compare_and_exchange() {
    assert_eq!(atomic(0xdb, 0xf1, OLD, ARG, OLD), [ARG, ARG, OLD]);
    assert_eq!(atomic(0xdb, 0xf1, OLD, ARG, 1), [OLD, ARG, OLD]);
    let old = u64::from(OLD as u32);
    assert_eq!(atomic(0xc3, 0xf1, OLD, ARG, old), [HIGH | 0xff, ARG, old]);
    // The upper half of r0 does not count, and is cleared.
    assert_eq!(
        atomic(0xc3, 0xf1, OLD, ARG, 0xabcd_0000_0000_0000 | old),
        [HIGH | 0xff, ARG, old]
    );
    assert_eq!(atomic(0xc3, 0xf1, OLD, ARG, 1), [OLD, ARG, old]);
}

#[test]
fn atomic_operations_want_alignment() {
    let misaligned = [mov(2, 1), insn(0xdb, 10, 2, -12, 0), EXIT];
    assert!(matches!(
        fault(&misaligned),
        RunError::Misaligned {
            insn: 1,
            len: 8,
            ..
        }
    ));
    let misaligned = [mov(2, 1), insn(0xc3, 10, 2, -6, 0), EXIT];
    assert!(matches!(
        fault(&misaligned),
        RunError::Misaligned {
            insn: 1,
            len: 4,
            ..
        }
    ));
}

/// Runs an access of `len` bytes at `context + off`; the context has 16 bytes and is read-only.
fn access(opcode: u8, off: i16) -> Result<u64, RunError> {
    let memory = BYTES;
    let store = opcode & 7 != 1;
    let op = if store {
        insn(opcode, 1, 0, off, 0)
    } else {
        insn(opcode, 2, 1, off, 0)
    };
    let program = program(&[mov(0, 0), op, EXIT]).expect("an acceptable program");
    run_on(&program, Context::new(&memory))
}

#[test]
fn the_context_is_bounded_and_read_only() {
    for (opcode, len) in [(0x71, 1), (0x69, 2), (0x61, 4), (0x79, 8)] {
        assert_eq!(access(opcode, 16 - len), Ok(0));
        for off in [16 - len + 1, 16, -1, -8, i16::MIN, i16::MAX] {
            let error = access(opcode, off).expect_err("an access out of bounds");
            assert!(
                matches!(error, RunError::OutOfBounds { insn: 1, access: Access::Read, len: l, .. } if l == len as u64),
                "{error}"
            );
        }
    }
    let error = access(0x72, 0).expect_err("a write to the context");
    assert!(
        matches!(
            error,
            RunError::OutOfBounds {
                access: Access::Write,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_stack_is_one_frame_deep() {
    let touch = |off| {
        let program = program(&[insn(0x72, 10, 0, off, 1), mov(0, 0), EXIT]);
        run_on(&program.expect("an acceptable program"), Context::new(&[]))
    };
    assert_eq!(touch(-1), Ok(0));
    assert_eq!(touch(-512), Ok(0));
    assert!(touch(-513).is_err(), "the frame has 512 bytes");
    assert!(touch(0).is_err(), "the frame pointer points past the frame");
}

#[test]
fn an_access_must_not_leave_the_stack_in_part() {
    let program = program(&[load64(0, 10, -4), EXIT]).expect("an acceptable program");
    assert!(run_on(&program, Context::new(&[])).is_err());
    let program = support::program(&[load64(0, 10, -515), EXIT]).expect("an acceptable program");
    assert!(run_on(&program, Context::new(&[])).is_err());
}

#[test]
fn a_returned_frame_is_out_of_bounds() {
    // The function returns the address of its frame.
    let insns = [
        support::call_local(2),
        load64(0, 0, 0),
        EXIT,
        mov_reg(0, 10),
        add(0, -8),
        EXIT,
    ];
    assert!(matches!(
        fault(&insns),
        RunError::OutOfBounds { insn: 1, .. }
    ));
}

#[test]
fn wild_pointers_are_out_of_bounds() {
    for address in [0, 8, u64::MAX, u64::MAX - 7, 1 << 63, 0xffff_8000_0000_0000] {
        let [low, high] = lddw(1, address);
        assert!(matches!(
            fault(&[low, high, load64(0, 1, 0), EXIT]),
            RunError::OutOfBounds { .. }
        ));
        let store = support::store64_imm(1, 0, 0);
        assert!(matches!(
            fault(&[low, high, store, EXIT]),
            RunError::OutOfBounds { .. }
        ));
        let atomic = insn(0xdb, 1, 0, 0, 0);
        assert!(matches!(
            fault(&[low, high, atomic, EXIT]),
            RunError::OutOfBounds { .. }
        ));
    }
}

#[test]
fn an_empty_context_has_no_byte() {
    assert!(matches!(
        fault(&[insn(0x71, 0, 1, 0, 0), EXIT]),
        RunError::OutOfBounds { .. }
    ));
}

#[test]
fn r2_is_the_length_of_the_context() {
    assert_eq!(eval_on(&[mov_reg(0, 2), EXIT], &mut [0; 13]), 13);
}

#[test]
fn runs_do_not_see_what_earlier_ones_left() {
    let write = program(&[support::store64_imm(10, -8, 77), mov(0, 0), EXIT]);
    run_on(&write.expect("an acceptable program"), Context::new(&[])).expect("a run");
    assert_eq!(eval_on(&[load64(0, 10, -8), EXIT], &mut []), 0);
}
