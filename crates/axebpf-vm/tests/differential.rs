//! The interpreter against rbpf, on programs that both run as RFC 9669 says.

mod support;

use axebpf_vm::{Context, EngineKind, Insn, Program, RunError};
use proptest::prelude::*;
use support::{EXIT, bytes, insn, lddw, run_on};

/// Numbers in which errors hide.
fn value() -> impl Strategy<Value = u64> {
    let edges = vec![
        0,
        1,
        u64::MAX,
        i64::MIN as u64,
        i64::MAX as u64,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
    ];
    prop_oneof![prop::sample::select(edges), any::<u64>()]
}

/// One instruction of the subset on which rbpf agrees, on r0 to r5, that may jump up to three further.
fn agreed() -> impl Strategy<Value = Insn> {
    let register = 0..6u8;
    let op = prop::sample::select(vec![
        0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0,
    ]);
    let alu = (
        op,
        any::<bool>(),
        any::<bool>(),
        register.clone(),
        register.clone(),
        any::<i32>(),
    );
    let alu = alu.prop_map(|(op, wide, x, dst, src, imm)| {
        let class = if wide { 0x07 } else { 0x04 };
        if x {
            insn(op | class | 8, dst, src, 0, 0)
        } else {
            insn(op | class, dst, 0, 0, imm)
        }
    });
    let modulo =
        (register.clone(), register.clone()).prop_map(|(dst, src)| insn(0x9f, dst, src, 0, 0));
    let negate = register.clone().prop_map(|dst| insn(0x84, dst, 0, 0, 0));
    let order = (
        prop::sample::select(vec![0xd4, 0xdc]),
        prop::sample::select(vec![16, 32, 64]),
    );
    let order = (order, register.clone()).prop_map(|((op, bits), dst)| insn(op, dst, 0, 0, bits));
    let condition = prop::sample::select(vec![
        0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0,
    ]);
    let jump = (
        condition,
        any::<bool>(),
        any::<bool>(),
        register.clone(),
        register,
        0..i32::MAX,
    );
    let jump = (jump, 0..4i16).prop_map(|((op, wide, x, dst, src, imm), off)| {
        let class = if wide { 0x05 } else { 0x06 };
        if x {
            insn(op | class | 8, dst, src, off, 0)
        } else {
            insn(op | class, dst, 0, off, imm)
        }
    });
    prop_oneof![6 => alu, 1 => modulo, 1 => negate, 1 => order, 3 => jump]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn engines_agree(
        registers in prop::collection::vec(value(), 6),
        body in prop::collection::vec(agreed(), 1..40),
        result in 0..6u8,
    ) {
        let mut insns = Vec::new();
        for (register, value) in (0..).zip(registers) {
            insns.extend(lddw(register, value));
        }
        insns.extend(body);
        // Room for jumps from the last instructions.
        insns.extend([insn(0xbf, 0, result, 0, 0); 4]);
        insns.push(EXIT);
        let code = bytes(&insns);
        let run = |engine| {
            let program = Program::for_engine(engine, &code, &[]).expect("an acceptable program");
            run_on(&program, Context::new(&[]))
        };
        prop_assert_eq!(run(EngineKind::Interp), run(EngineKind::Rbpf));
    }

    #[test]
    fn engines_agree_on_memory(
        bytes_before in prop::collection::vec(any::<u8>(), 32),
        accesses in prop::collection::vec((0..12usize, -2..34i16, any::<i32>()), 1..12),
    ) {
        const OPCODES: [u8; 12] =
            [0x61, 0x69, 0x71, 0x79, 0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b];
        let mut insns = vec![insn(0xb7, 3, 0, 0, 0x1234_5678), insn(0xb7, 0, 0, 0, 0)];
        for (opcode, off, imm) in accesses {
            let opcode = OPCODES[opcode];
            insns.extend(match opcode & 7 {
                1 => [insn(opcode, 3, 1, off, 0), insn(0x0f, 0, 3, 0, 0)],
                2 => [insn(opcode, 1, 0, off, imm), insn(0x07, 0, 0, 0, 1)],
                _ => [insn(opcode, 1, 3, off, 0), insn(0x07, 3, 0, 0, 77)],
            });
        }
        insns.push(EXIT);
        let code = bytes(&insns);
        let run = |engine| {
            let program = Program::for_engine(engine, &code, &[]).expect("an acceptable program");
            let mut memory = bytes_before.clone();
            let result = run_on(&program, Context::writable(&mut memory)).ok();
            (result, memory)
        };
        prop_assert_eq!(run(EngineKind::Interp), run(EngineKind::Rbpf));
    }
}

#[test]
fn rbpf_refuses_what_it_would_run_otherwise() {
    let cases = [
        insn(0x3f, 0, 1, 1, 0),
        insn(0x9f, 0, 1, 1, 0),
        insn(0xbf, 0, 1, 8, 0),
        insn(0xd7, 0, 0, 0, 16),
        insn(0x9c, 0, 1, 0, 0),
        insn(0x94, 0, 0, 0, 0),
        insn(0x87, 0, 0, 0, 0),
        insn(0x15, 0, 0, 0, -1),
        insn(0x06, 0, 0, 0, 0),
        insn(0xdb, 1, 0, 0, 0),
        insn(0x91, 0, 1, 0, 0),
        insn(0x85, 0, 0, 0, 5),
        insn(0x05, 0, 0, -1, 0),
    ];
    for case in cases {
        let code = bytes(&[case, EXIT]);
        assert!(
            Program::for_engine(EngineKind::Interp, &code, &[]).is_ok(),
            "{case:?}"
        );
        let error = Program::for_engine(EngineKind::Rbpf, &code, &[]).expect_err("a refusal");
        let text = error.to_string();
        assert!(
            text.starts_with("instruction 0: engine rbpf cannot run"),
            "{text}"
        );
    }
}

#[test]
fn rbpf_does_not_write_a_read_only_context() {
    let code = bytes(&[insn(0x72, 1, 0, 0, 1), insn(0xb7, 0, 0, 0, 0), EXIT]);
    let program = Program::for_engine(EngineKind::Rbpf, &code, &[]).expect("an acceptable program");
    let failed = run_on(&program, Context::new(&[0; 4]));
    assert_eq!(failed, Err(RunError::Engine { engine: "rbpf" }));
    let mut memory = [0; 4];
    assert_eq!(run_on(&program, Context::writable(&mut memory)), Ok(0));
    assert_eq!(memory, [1, 0, 0, 0]);
}

#[test]
fn engines_have_names() {
    for engine in EngineKind::ALL {
        assert_eq!(EngineKind::by_name(engine.name()), Some(*engine));
    }
    assert_eq!(EngineKind::by_name("jit"), None);
}
