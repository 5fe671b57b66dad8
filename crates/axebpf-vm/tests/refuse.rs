//! What is refused at load, with the instruction and the reason.

mod support;

use axebpf_vm::{CheckError, Insn, MAX_INSNS, Program};
use support::{EXIT, bytes, call, call_local, insn, ja, lddw, mov, program};

#[track_caller]
fn refused(insns: &[Insn]) -> CheckError {
    program(insns).expect_err("a program that must be refused")
}

#[test]
fn lengths() {
    assert_eq!(refused(&[]), CheckError::Empty);
    let ragged = Program::from_insns(&[0x95, 0, 0], &[]).expect_err("three bytes");
    assert_eq!(ragged, CheckError::Ragged { len: 3 });
    let mut long = vec![mov(0, 0); MAX_INSNS];
    long.push(EXIT);
    assert_eq!(
        refused(&long),
        CheckError::TooLong {
            len: MAX_INSNS + 1,
            limit: MAX_INSNS
        }
    );
    let mut longest = vec![mov(0, 0); MAX_INSNS - 1];
    longest.push(EXIT);
    assert!(program(&longest).is_ok());
}

/// What RFC 9669 defines, by opcode, the legacy packet loads aside.
fn is_defined(opcode: u8) -> bool {
    let op = opcode & 0xf0;
    match opcode & 7 {
        // The one wide load.
        0 => opcode == 0x18,
        1 => matches!(opcode, 0x61 | 0x69 | 0x71 | 0x79 | 0x81 | 0x89 | 0x91),
        2 => matches!(opcode, 0x62 | 0x6a | 0x72 | 0x7a),
        3 => matches!(opcode, 0x63 | 0x6b | 0x73 | 0x7b | 0xc3 | 0xdb),
        4 => op <= 0xd0 && opcode != 0x8c,
        7 => op <= 0xd0 && opcode != 0x8f && opcode != 0xdf,
        5 => match op {
            0x00 | 0x90 => opcode & 8 == 0,
            0x80 => true,
            _ => op <= 0xd0,
        },
        _ => match op {
            0x00 => opcode & 8 == 0,
            0x80 | 0x90 => false,
            _ => op <= 0xd0,
        },
    }
}

#[test]
fn every_undefined_opcode() {
    for opcode in 0..=u8::MAX {
        let imm = if opcode & 0xf0 == 0xd0 && matches!(opcode & 7, 4 | 7) {
            16
        } else {
            0
        };
        let result = program(&[mov(0, 0), insn(opcode, 0, 0, 0, imm), EXIT, EXIT]);
        let legacy = matches!(
            opcode,
            0x20 | 0x28 | 0x30 | 0x38 | 0x40 | 0x48 | 0x50 | 0x58
        );
        match result {
            Err(CheckError::LegacyPacketAccess {
                insn: 1,
                opcode: named,
            }) if legacy => {
                assert_eq!(named, opcode);
            }
            Err(CheckError::UnknownOpcode {
                insn: 1,
                opcode: named,
            }) if !legacy => {
                assert_eq!(named, opcode);
                assert!(!is_defined(opcode), "{opcode:#x} is defined");
            }
            other => assert!(is_defined(opcode), "{opcode:#x} is not defined: {other:?}"),
        }
    }
}

#[test]
fn unknown_variants() {
    let variant = |opcode, off, imm| refused(&[insn(opcode, 0, 0, off, imm), EXIT]);
    let unknown = |opcode, value| CheckError::UnknownVariant {
        insn: 0,
        opcode,
        value,
    };
    // Division, signed or not; moves that extend 8, 16 or, for 64 bits, 32.
    assert_eq!(variant(0x3f, 2, 0), unknown(0x3f, 2));
    assert_eq!(variant(0x97, -1, 5), unknown(0x97, -1));
    assert_eq!(variant(0xbf, 24, 0), unknown(0xbf, 24));
    assert_eq!(variant(0xbc, 32, 0), unknown(0xbc, 32));
    assert_eq!(variant(0xb7, 8, 1), unknown(0xb7, 8));
    // Byte orders of 16, 32 and 64 bits.
    assert_eq!(variant(0xd4, 0, 8), unknown(0xd4, 8));
    assert_eq!(variant(0xd7, 0, 0), unknown(0xd7, 0));
    // Atomic operations.
    assert_eq!(variant(0xdb, 0, 0xe0), unknown(0xdb, 0xe0));
    assert_eq!(variant(0xc3, 0, 0x10), unknown(0xc3, 0x10));
    // Kinds of calls.
    let kind = refused(&[insn(0x85, 0, 3, 0, 1), EXIT]);
    assert_eq!(
        kind,
        CheckError::UnknownVariant {
            insn: 0,
            opcode: 0x85,
            value: 3
        }
    );
}

#[test]
fn reserved_fields() {
    let cases = [
        // An operation without modifier, and an immediate beside a register.
        insn(0x07, 0, 0, 1, 0),
        insn(0x0f, 0, 1, 0, 1),
        insn(0x07, 0, 1, 0, 0),
        insn(0x87, 0, 0, 0, 1),
        insn(0xd4, 0, 1, 0, 16),
        insn(0x05, 1, 0, 0, 0),
        insn(0x05, 0, 0, 0, 1),
        insn(0x06, 0, 0, 1, 0),
        insn(0x15, 0, 1, 0, 0),
        insn(0x1d, 0, 1, 0, 1),
        insn(0x95, 0, 0, 1, 0),
        insn(0x85, 0, 0, 1, 5),
        insn(0x61, 0, 1, 0, 1),
        insn(0x62, 1, 1, 0, 0),
        insn(0x63, 1, 0, 0, 1),
    ];
    for case in cases {
        let opcode = case.opcode;
        assert_eq!(
            refused(&[case, EXIT]),
            CheckError::ReservedField { insn: 0, opcode },
            "{case:?}"
        );
    }
}

#[test]
fn registers() {
    for register in 11..16 {
        let unknown = CheckError::UnknownRegister { insn: 0, register };
        assert_eq!(refused(&[mov(register, 0), EXIT]), unknown);
        assert_eq!(refused(&[insn(0xbf, 0, register, 0, 0), EXIT]), unknown);
        assert_eq!(refused(&[insn(0x61, 0, register, 0, 0), EXIT]), unknown);
        assert_eq!(refused(&[insn(0x7b, register, 0, 0, 0), EXIT]), unknown);
        assert_eq!(refused(&[insn(0x1d, register, 0, 0, 0), EXIT]), unknown);
    }
    let write = CheckError::FramePointerWrite { insn: 0 };
    assert_eq!(refused(&[mov(10, 0), EXIT]), write);
    assert_eq!(refused(&[insn(0x61, 10, 1, 0, 0), EXIT]), write);
    assert_eq!(
        refused(&[insn(0xdb, 1, 10, 0, 1), EXIT]),
        write,
        "a fetch writes its source"
    );
    let [low, high] = lddw(10, 5);
    assert_eq!(refused(&[low, high, EXIT]), write);
}

#[test]
fn jumps() {
    let out = |insn, target| CheckError::JumpOutOfRange { insn, target };
    assert_eq!(refused(&[ja(1), EXIT]), out(0, 2));
    assert_eq!(refused(&[ja(-2), EXIT]), out(0, -1));
    assert_eq!(
        refused(&[mov(0, 0), insn(0x15, 0, 0, 100, 0), EXIT]),
        out(1, 102)
    );
    assert_eq!(
        refused(&[insn(0x06, 0, 0, 0, i32::MAX), EXIT]),
        out(0, 1 << 31)
    );
    assert_eq!(
        refused(&[insn(0x06, 0, 0, 0, i32::MIN), EXIT]),
        out(0, 1 - (1 << 31))
    );
    let [low, high] = lddw(0, 1);
    let middle = CheckError::JumpIntoImmediate { insn: 0, target: 2 };
    assert_eq!(refused(&[ja(1), low, high, EXIT]), middle);
    // From one function into another.
    assert_eq!(
        refused(&[call_local(2), ja(1), EXIT, mov(0, 0), EXIT]),
        out(1, 3)
    );
}

#[test]
fn wide_immediates() {
    let [low, high] = lddw(0, 1);
    assert_eq!(refused(&[low]), CheckError::SplitImmediate { insn: 0 });
    assert_eq!(
        refused(&[low, EXIT]),
        CheckError::SplitImmediate { insn: 0 }
    );
    let reserved = CheckError::ReservedField {
        insn: 0,
        opcode: 0x18,
    };
    assert_eq!(refused(&[low, Insn { off: 1, ..high }, EXIT]), reserved);
    for kind in [1, 2, 3, 7, 15] {
        let wide = Insn { src: kind, ..low };
        assert_eq!(
            refused(&[wide, high, EXIT]),
            CheckError::UnresolvedImmediate { insn: 0, kind }
        );
    }
    let map = Insn {
        src: 5,
        imm: 3,
        ..low
    };
    assert_eq!(
        refused(&[map, high, EXIT]),
        CheckError::UnknownMap { insn: 0, index: 3 }
    );
    let value = Insn {
        src: 6,
        imm: 0,
        ..low
    };
    let outside = CheckError::OutsideMapValue {
        insn: 0,
        index: 0,
        offset: 0,
    };
    assert_eq!(refused(&[value, high, EXIT]), outside);
}

#[test]
fn calls() {
    assert_eq!(
        refused(&[call(0), EXIT]),
        CheckError::UnknownHelper { insn: 0, id: 0 }
    );
    assert_eq!(
        refused(&[call(999), EXIT]),
        CheckError::UnknownHelper { insn: 0, id: 999 }
    );
    assert_eq!(
        refused(&[call(-1), EXIT]),
        CheckError::UnknownHelper { insn: 0, id: -1 }
    );
    let btf = insn(0x85, 0, 2, 0, 7);
    assert_eq!(
        refused(&[btf, EXIT]),
        CheckError::BtfCall { insn: 0, id: 7 }
    );
    let out = |target| CheckError::CallOutOfRange { insn: 0, target };
    assert_eq!(refused(&[call_local(5), EXIT]), out(6));
    assert_eq!(refused(&[call_local(-5), EXIT]), out(-4));
    let [low, high] = lddw(0, 1);
    let middle = CheckError::JumpIntoImmediate { insn: 0, target: 3 };
    assert_eq!(refused(&[call_local(2), EXIT, low, high, EXIT]), middle);
}

#[test]
fn ends() {
    assert_eq!(refused(&[mov(0, 0)]), CheckError::FallsOff { insn: 0 });
    assert_eq!(
        refused(&[EXIT, mov(0, 0)]),
        CheckError::FallsOff { insn: 1 }
    );
    assert_eq!(
        refused(&[EXIT, insn(0x15, 0, 0, -2, 0)]),
        CheckError::FallsOff { insn: 1 }
    );
    let [low, high] = lddw(0, 1);
    assert_eq!(
        refused(&[EXIT, low, high]),
        CheckError::FallsOff { insn: 1 }
    );
    assert_eq!(
        refused(&[call_local(1), mov(0, 0), EXIT]),
        CheckError::FallsOff { insn: 1 }
    );
    assert_eq!(refused(&[ja(-1)]), CheckError::NoExit);
}

#[test]
fn recursion() {
    let main = CheckError::Recursion { insn: 0, target: 0 };
    assert_eq!(refused(&[call_local(-1), EXIT]), main);
    let own = CheckError::Recursion { insn: 2, target: 2 };
    assert_eq!(refused(&[call_local(1), EXIT, call_local(-1), EXIT]), own);
    let mutual = [
        call_local(1),
        EXIT,
        call_local(1),
        EXIT,
        call_local(-3),
        EXIT,
    ];
    assert_eq!(
        refused(&mutual),
        CheckError::Recursion { insn: 4, target: 2 }
    );
}

#[test]
fn depth() {
    let chain = |calls: usize| {
        let mut insns: Vec<_> = (0..calls).flat_map(|_| [call_local(1), EXIT]).collect();
        insns.extend([mov(0, 1), EXIT]);
        insns
    };
    assert!(program(&chain(7)).is_ok());
    assert_eq!(
        refused(&chain(8)),
        CheckError::TooDeep { insn: 14, limit: 8 }
    );
    // Many calls of the same functions are not deep, and do not take long to find so.
    let mut wide = Vec::new();
    for _ in 0..7 {
        wide.extend([call_local(10), call_local(9), call_local(8), call_local(7)]);
        wide.extend([call_local(6), call_local(5), call_local(4), call_local(3)]);
        wide.extend([call_local(2), call_local(1), EXIT]);
    }
    wide.extend([mov(0, 1), EXIT]);
    assert!(program(&wide).is_ok());
}

#[test]
fn errors_read_well() {
    let error = refused(&[mov(0, 0), call(999), EXIT]);
    assert_eq!(error.to_string(), "instruction 1: there is no helper 999");
    let error = refused(&[insn(0x30, 0, 0, 0, 0), EXIT]);
    let text = "instruction 0: legacy packet access (opcode 0x30) is not supported";
    assert_eq!(error.to_string(), text);
}

#[test]
fn bytes_round_trip() {
    let insns = [insn(0x7b, 10, 3, -8, 0), EXIT];
    let program = Program::from_insns(&bytes(&[mov(3, 0), insns[0], EXIT]), &[]);
    let program = program.expect("an acceptable program");
    assert_eq!(program.insns()[1], insns[0]);
    assert_eq!(program.insn_count(), 3);
}
