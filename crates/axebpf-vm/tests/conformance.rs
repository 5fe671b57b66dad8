//! Small programs by the tables of RFC 9669, group by group: what each leaves in `r0`, and in its memory.
//!
//! They are made with [`Checks::Instructions`], as runners of bare instructions make them (`examples/run_raw.rs`). Each
//! instruction by itself, with its edge values, is in `alu.rs`, `jump.rs` and `memory.rs`.

mod support;

use std::fmt::Write;

use axebpf_vm::{CheckError, Checks, Context, EngineKind, Insn, Program, RunError};
use support::{
    EXIT, add, bytes, call, call_local, insn, install, ja, lddw, load64, mov, mov_reg, run_on,
    store64_imm, then,
};

/// A program and what comes of it.
struct Case {
    name: &'static str,
    insns: Vec<Insn>,
    memory: Vec<u8>,
    result: u64,
    /// What the memory holds in the end.
    left: Vec<u8>,
}

fn case(name: &'static str, insns: &[Insn], result: u64) -> Case {
    Case {
        name,
        insns: insns.to_vec(),
        memory: Vec::new(),
        result,
        left: Vec::new(),
    }
}

impl Case {
    /// Gives the program memory, which it leaves as it is.
    fn on(mut self, memory: &[u8]) -> Self {
        self.memory = memory.to_vec();
        self.left = memory.to_vec();
        self
    }

    fn leaves(mut self, memory: &[u8]) -> Self {
        self.left = memory.to_vec();
        self
    }

    /// Runs the program, and says what is wrong.
    fn run(&self, wrong: &mut String) {
        let mut memory = Aligned([0; 64]);
        let memory = &mut memory.0[..self.memory.len()];
        memory.copy_from_slice(&self.memory);
        let program = make(&self.insns);
        let result = program.map(|program| run_on(&program, Context::writable(memory)));
        if result != Ok(Ok(self.result)) {
            writeln!(wrong, "{}: {result:x?}, not {:x}", self.name, self.result).expect("room");
        }
        if memory != self.left {
            writeln!(
                wrong,
                "{}: left {memory:x?}, not {:x?}",
                self.name, self.left
            )
            .expect("room");
        }
    }
}

/// Memory that atomic operations can be made on.
#[repr(align(8))]
struct Aligned([u8; 64]);

fn make(insns: &[Insn]) -> Result<Program, CheckError> {
    Program::with_checks(Checks::Instructions, EngineKind::Interp, &bytes(insns), &[])
}

#[track_caller]
fn check(cases: &[Case]) {
    install();
    let mut wrong = String::new();
    for case in cases {
        case.run(&mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Sets `r0` to `value`, and ends after `op`.
fn on_r0(value: u64, op: Insn) -> Vec<Insn> {
    then(lddw(0, value).to_vec(), &[op, EXIT])
}

/// Sets `r1` to `value`; returns 1 if `jump`, over one instruction, is taken.
fn taken(value: u64, jump: Insn) -> Vec<Insn> {
    then(lddw(1, value).to_vec(), &[mov(0, 1), jump, mov(0, 0), EXIT])
}

/// The memory that most programs here get.
const MEMORY: [u8; 8] = [0x08, 0x87, 0x06, 0x05, 0x04, 0x03, 0x02, 0x81];
const WORD: u64 = 0x8102_0304_0506_8708;

#[test]
fn control_flow() {
    let jeq_back = insn(0x15, 0, 0, -2, 3);
    let ja32 = |distance| insn(0x06, 0, 0, 0, distance);
    check(&[
        case("nothing but an exit", &[EXIT], 0),
        case(
            "a register that was never written",
            &[mov_reg(0, 9), EXIT],
            0,
        ),
        case(
            "code behind an exit",
            &[mov(0, 1), EXIT, mov(0, 0), EXIT],
            1,
        ),
        case(
            "a jump over dead code",
            &[ja(2), mov(0, 0), EXIT, mov(0, 1), EXIT],
            1,
        ),
        case("a jump of nothing", &[mov(0, 4), ja(0), EXIT], 4),
        case(
            "long jumps both ways",
            &[mov(1, 0), ja32(2), mov(2, 0), EXIT, mov(0, 7), ja32(-4)],
            7,
        ),
        case(
            "a condition at the end",
            &[mov(0, 3), ja(1), EXIT, jeq_back],
            3,
        ),
        case(
            "a loop",
            &[
                mov(1, 100),
                insn(0x0f, 0, 1, 0, 0),
                add(1, -1),
                insn(0x55, 1, 0, -3, 0),
                EXIT,
            ],
            5050,
        ),
        case(
            "a helper by its number",
            &[mov(1, -1), call(5), mov(0, 2), EXIT],
            2,
        ),
    ]);
}

#[test]
fn local_calls() {
    let mut nested = vec![mov(1, 0), call_local(1), EXIT];
    for depth in 1..=6 {
        nested.extend([add(1, depth), call_local(1), EXIT]);
    }
    nested.extend([add(1, 7), mov_reg(0, 1), EXIT]);
    let factorial = [
        mov(1, 5),
        call_local(1),
        EXIT,
        insn(0x25, 1, 0, 2, 1),
        mov(0, 1),
        EXIT,
        mov_reg(6, 1),
        add(1, -1),
        call_local(-6),
        insn(0x2f, 0, 6, 0, 0),
        EXIT,
    ];
    let shared = [
        mov(1, 1),
        call_local(5),
        mov_reg(6, 0),
        mov(1, 1),
        call_local(3),
        insn(0x0f, 0, 6, 0, 0),
        EXIT,
        add(1, 10),
        mov_reg(0, 1),
        add(0, 100),
        EXIT,
    ];
    check(&[
        case("one in another, eight frames deep", &nested, 28),
        case("a function that calls itself", &factorial, 120),
        case("functions with one end", &shared, 212),
        case(
            "a function before its caller",
            &[ja(2), mov(0, 5), EXIT, call_local(-3), add(0, 1), EXIT],
            6,
        ),
        case(
            "a frame of its own",
            &[
                store64_imm(10, -8, 3),
                call_local(2),
                load64(0, 10, -8),
                EXIT,
                store64_imm(10, -8, 9),
                EXIT,
            ],
            3,
        ),
    ]);
}

#[test]
fn base() {
    check(&[
        case(
            "32 bits clear the upper half",
            &on_r0(u64::MAX, insn(0x04, 0, 0, 0, 1)),
            0,
        ),
        case(
            "an immediate extends its sign",
            &on_r0(0, insn(0x47, 0, 0, 0, -2)),
            -2i64 as u64,
        ),
        case(
            "so it does not for 32 bits",
            &on_r0(0, insn(0x44, 0, 0, 0, -2)),
            0xffff_fffe,
        ),
        case(
            "a distance wraps at 64",
            &[mov(1, 65), mov(0, 1), insn(0x6f, 0, 1, 0, 0), EXIT],
            2,
        ),
        case(
            "a distance wraps at 32",
            &[mov(1, 33), mov(0, 8), insn(0x7c, 0, 1, 0, 0), EXIT],
            4,
        ),
        case(
            "the sign comes along",
            &on_r0(0x8000_0000, insn(0xc4, 0, 0, 0, 31)),
            0xffff_ffff,
        ),
        case(
            "the least number's negative",
            &on_r0(1 << 63, insn(0x87, 0, 0, 0, 0)),
            1 << 63,
        ),
        case(
            "the same in 32 bits",
            &on_r0(1, insn(0x84, 0, 0, 0, 0)),
            0xffff_ffff,
        ),
        case(
            "bytes to 64 bits",
            &on_r0(0x180, insn(0xbf, 0, 0, 8, 0)),
            -128i64 as u64,
        ),
        case(
            "halves to 32 bits",
            &on_r0(0x1_8000, insn(0xbc, 0, 0, 16, 0)),
            0xffff_8000,
        ),
        case(
            "words to 64 bits",
            &on_r0(0x8000_0000, insn(0xbf, 0, 0, 32, 0)),
            !0 << 31,
        ),
        case(
            "swap 64",
            &on_r0(WORD, insn(0xd7, 0, 0, 0, 64)),
            WORD.swap_bytes(),
        ),
        case(
            "swap 32",
            &on_r0(WORD, insn(0xd7, 0, 0, 0, 32)),
            0x0887_0605,
        ),
        case("swap 16", &on_r0(WORD, insn(0xd7, 0, 0, 0, 16)), 0x0887),
        case(
            "big-endian 16",
            &on_r0(WORD, insn(0xdc, 0, 0, 0, 16)),
            0x0887,
        ),
        case(
            "little-endian 32",
            &on_r0(WORD, insn(0xd4, 0, 0, 0, 32)),
            0x0506_8708,
        ),
        case(
            "64 bits at once",
            &lddw_exit(0x8000_0000_7fff_ffff),
            0x8000_0000_7fff_ffff,
        ),
    ]);
}

fn lddw_exit(value: u64) -> Vec<Insn> {
    then(lddw(0, value).to_vec(), &[EXIT])
}

#[test]
fn comparisons() {
    let max = u64::MAX;
    check(&[
        case(
            "32 bits see the lower half",
            &taken(1 << 32, insn(0x16, 1, 0, 1, 0)),
            1,
        ),
        case(
            "64 bits see all",
            &taken(1 << 32, insn(0x15, 1, 0, 1, 0)),
            0,
        ),
        case("below the largest", &taken(0, insn(0xa5, 1, 0, 1, -1)), 1),
        case("not below itself", &taken(max, insn(0xa5, 1, 0, 1, -1)), 0),
        case(
            "signed, -1 is below 0",
            &taken(max, insn(0xc5, 1, 0, 1, 0)),
            1,
        ),
        case(
            "signed in 32 bits",
            &taken(0x8000_0000, insn(0x66, 1, 0, 1, -1)),
            0,
        ),
        case(
            "which is positive in 64",
            &taken(0x8000_0000, insn(0x65, 1, 0, 1, -1)),
            1,
        ),
        case("bits in common", &taken(0x10, insn(0x45, 1, 0, 1, 0x18)), 1),
        case(
            "bits of the extended sign",
            &taken(1 << 63, insn(0x45, 1, 0, 1, -1)),
            1,
        ),
        case(
            "none in 32 bits",
            &taken(1 << 63, insn(0x46, 1, 0, 1, -1)),
            0,
        ),
    ]);
}

#[test]
fn division() {
    let min = i64::MIN as u64;
    let neg = |value: i64| value as u64;
    check(&[
        case(
            "by nothing is nothing",
            &on_r0(7, insn(0x37, 0, 0, 0, 0)),
            0,
        ),
        case(
            "signed by nothing",
            &on_r0(neg(-7), insn(0x37, 0, 0, 1, 0)),
            0,
        ),
        case(
            "what is left of that is all",
            &on_r0(WORD, insn(0x97, 0, 0, 0, 0)),
            WORD,
        ),
        case(
            "in 32 bits, its lower half",
            &on_r0(WORD, insn(0x94, 0, 0, 0, 0)),
            0x0506_8708,
        ),
        case(
            "by a register",
            &[mov(0, 7), mov(1, 0), insn(0x3f, 0, 1, 0, 0), EXIT],
            0,
        ),
        case(
            "unsigned by -1",
            &on_r0(u64::MAX, insn(0x37, 0, 0, 0, -1)),
            1,
        ),
        case(
            "signed, towards zero",
            &on_r0(neg(-7), insn(0x37, 0, 0, 1, 2)),
            neg(-3),
        ),
        case(
            "so in 32 bits",
            &on_r0(neg(-7), insn(0x34, 0, 0, 1, 2)),
            0xffff_fffd,
        ),
        case("the least by -1", &on_r0(min, insn(0x37, 0, 0, 1, -1)), min),
        case(
            "of which nothing is left",
            &on_r0(min, insn(0x97, 0, 0, 1, -1)),
            0,
        ),
        case(
            "so in 32 bits, too",
            &on_r0(1 << 31, insn(0x34, 0, 0, 1, -1)),
            1 << 31,
        ),
        case(
            "and nothing is left",
            &on_r0(1 << 31, insn(0x94, 0, 0, 1, -1)),
            0,
        ),
        case(
            "the dividend's sign, positive",
            &on_r0(7, insn(0x97, 0, 0, 1, -3)),
            1,
        ),
        case(
            "the dividend's sign, negative",
            &on_r0(neg(-7), insn(0x97, 0, 0, 1, 3)),
            neg(-1),
        ),
        case(
            "so in 32 bits",
            &on_r0(neg(-7), insn(0x94, 0, 0, 1, 3)),
            0xffff_ffff,
        ),
        case(
            "a product that wraps",
            &on_r0(1 << 63, insn(0x27, 0, 0, 0, 3)),
            1 << 63,
        ),
        case(
            "a product in 32 bits",
            &on_r0(0x8000_0001, insn(0x24, 0, 0, 0, 2)),
            2,
        ),
    ]);
}

#[test]
fn loads_and_stores() {
    let load = |opcode, off| [insn(opcode, 0, 1, off, 0), EXIT];
    check(&[
        case("a byte", &load(0x71, 7), 0x81).on(&MEMORY),
        case("a byte with its sign", &load(0x91, 7), !0x7e).on(&MEMORY),
        case("a half", &load(0x69, 0), 0x8708).on(&MEMORY),
        case("a half with its sign", &load(0x89, 0), !0x78f7).on(&MEMORY),
        case("a word, anywhere", &load(0x61, 3), 0x0203_0405).on(&MEMORY),
        case(
            "a word with its sign",
            &load(0x81, 4),
            0xffff_ffff_8102_0304,
        )
        .on(&MEMORY),
        case("all", &load(0x79, 0), WORD).on(&MEMORY),
        case("how much there is", &[mov_reg(0, 2), EXIT], 8).on(&MEMORY),
        case("a byte is stored", &[insn(0x72, 1, 0, 1, -2), EXIT], 0)
            .on(&MEMORY)
            .leaves(&[8, 0xfe, 6, 5, 4, 3, 2, 0x81]),
        case(
            "a word is stored, its sign is not",
            &[insn(0x62, 1, 0, 0, -2), EXIT],
            0,
        )
        .on(&MEMORY)
        .leaves(&[0xfe, 0xff, 0xff, 0xff, 4, 3, 2, 0x81]),
        case(
            "64 bits of an immediate",
            &[insn(0x7a, 1, 0, 0, -2), EXIT],
            0,
        )
        .on(&MEMORY)
        .leaves(&[0xfe, 255, 255, 255, 255, 255, 255, 255]),
        case(
            "a half of a register",
            &[mov(3, 0x1_2345), insn(0x6b, 1, 3, 6, 0), EXIT],
            0,
        )
        .on(&MEMORY)
        .leaves(&[8, 0x87, 6, 5, 4, 3, 0x45, 0x23]),
    ]);
}

/// Makes an atomic operation on the memory with `r2`, after `r0` was set, and returns `r2`.
fn atomic(opcode: u8, imm: i32, r2: u64) -> Vec<Insn> {
    let op = [insn(opcode, 1, 2, 0, imm), mov_reg(0, 2), EXIT];
    then(lddw(2, r2).to_vec(), &op)
}

/// Compares the memory with `r0` and exchanges it with 0; returns `r0`.
fn exchange(opcode: u8, r0: u64) -> Vec<Insn> {
    then(
        lddw(0, r0).to_vec(),
        &[mov(2, 0), insn(opcode, 1, 2, 0, 0xf1), EXIT],
    )
}

#[test]
fn atomic_operations() {
    const WIDE: u8 = 0xdb;
    const NARROW: u8 = 0xc3;
    const LOW: u64 = 0x0506_8708;
    let left = |bytes: [u8; 8], case: Case| case.on(&MEMORY).leaves(&bytes);
    check(&[
        left(
            [9, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("add", &atomic(WIDE, 0, 1), 1),
        ),
        left(
            [9, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("and fetch", &atomic(WIDE, 1, 1), WORD),
        ),
        left(
            [7, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("add 32", &atomic(NARROW, 1, u64::MAX), LOW),
        ),
        left(
            [0xf8, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("or 32", &atomic(NARROW, 0x40, 0xf0), 0xf0),
        ),
        left(
            [0, 0x80, 0, 0, 0, 0, 0, 0],
            case("and", &atomic(WIDE, 0x51, 0xf000), WORD),
        ),
        left(
            [0, 0x80, 0, 0, 4, 3, 2, 0x81],
            case("and 32", &atomic(NARROW, 0x51, 0xf000), LOW),
        ),
        left(
            [0xf7, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("xor", &atomic(WIDE, 0xa1, 0xff), WORD),
        ),
        left(
            [0xf7, 0x87, 6, 5, 4, 3, 2, 0x81],
            case("xor 32", &atomic(NARROW, 0xa0, 0xff), 0xff),
        ),
        left(
            [1, 0, 0, 0, 0, 0, 0, 0],
            case("exchange", &atomic(WIDE, 0xe1, 1), WORD),
        ),
        left(
            [1, 0, 0, 0, 4, 3, 2, 0x81],
            case("exchange 32", &atomic(NARROW, 0xe1, 1), LOW),
        ),
        left(
            [0; 8],
            case("compare, the same", &exchange(WIDE, WORD), WORD),
        ),
        left(MEMORY, case("compare, another", &exchange(WIDE, LOW), WORD)),
        left(
            [0, 0, 0, 0, 4, 3, 2, 0x81],
            case("the lower half", &exchange(NARROW, WORD), LOW),
        ),
        left(
            MEMORY,
            case("another lower half", &exchange(NARROW, 1), LOW),
        ),
    ]);
}

#[test]
fn what_the_rfc_does_not_define_is_refused_or_stops() {
    install();
    let out = make(&[ja(1), EXIT]).expect_err("there is no such instruction");
    assert!(
        matches!(out, CheckError::JumpOutOfRange { insn: 0, target: 2 }),
        "{out}"
    );
    let into = make(&then(vec![ja(1)], &lddw_exit(1))).expect_err("no instruction starts there");
    assert!(
        matches!(into, CheckError::JumpIntoImmediate { insn: 0, target: 2 }),
        "{into}"
    );
    let unknown = make(&[EXIT, insn(0xff, 0, 0, 0, 0), EXIT]).expect_err("no such opcode");
    assert!(
        matches!(unknown, CheckError::UnknownOpcode { insn: 1, .. }),
        "{unknown}"
    );

    let stopped = |insns: &[Insn]| {
        let program = make(insns).expect("an acceptable program");
        run_on(&program, Context::new(&[])).expect_err("a run that is stopped")
    };
    assert_eq!(stopped(&[mov(0, 1)]), RunError::FellOff { insn: 1 });
    let endless = stopped(&[call_local(-1), EXIT]);
    assert!(matches!(endless, RunError::CallDepth { .. }), "{endless}");
    let budget = stopped(&[ja(-1)]);
    assert!(matches!(budget, RunError::Budget { .. }), "{budget}");
}
