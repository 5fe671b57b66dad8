//! The programs that are measured.
//!
//! They keep to what all engines run alike: 64-bit operations, comparisons with immediates that are not negative, and
//! memory behind `r1`. Each knows the length of its memory, since not every engine hands it over.

use axebpf_vm::Insn;

/// The bytes that a program's `r1` points to.
pub(crate) const MEMORY_BYTES: i32 = 4096;

/// One program, and what is asked of it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) insns: Vec<Insn>,
    /// What the program's time is divided by.
    pub(crate) unit: Unit,
    /// The largest part of rbpf's time that it may take.
    pub(crate) rbpf_bar: f64,
    /// The largest part of solana-sbpf's time that it may take, if that one runs it, too.
    pub(crate) sbpf_bar: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Instruction,
    Run,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instruction => "ns/insn",
            Self::Run => "ns/run",
        }
    }
}

/// Returns all workloads.
pub(crate) fn all() -> Vec<Workload> {
    let loops = [
        ("alu_loop", alu_loop()),
        ("byte_sum", byte_sum()),
        ("read_modify_write", read_modify_write()),
        ("collatz", collatz()),
        ("primes", primes()),
    ];
    let loops = loops.map(|(name, insns)| Workload {
        name,
        insns,
        unit: Unit::Instruction,
        rbpf_bar: 1.0 / 2.0,
        sbpf_bar: Some(2.0 / 3.0),
    });
    let tracing = Workload {
        name: "tracing",
        insns: tracing(),
        unit: Unit::Run,
        rbpf_bar: 1.0 / 4.0,
        sbpf_bar: None,
    };
    loops.into_iter().chain([tracing]).collect()
}

const ADD: u8 = 0x00;
const SUB: u8 = 0x10;
const MUL: u8 = 0x20;
const AND: u8 = 0x50;
const OR: u8 = 0x40;
const LSH: u8 = 0x60;
const RSH: u8 = 0x70;
const MOD: u8 = 0x90;
const XOR: u8 = 0xa0;
const MOV: u8 = 0xb0;

const JEQ: u8 = 0x10;
const JGT: u8 = 0x20;
const JNE: u8 = 0x50;

const BYTE: u8 = 0x10;
const WORD: u8 = 0x00;
const LONG: u8 = 0x18;

const EXIT: Insn = insn(0x95, 0, 0, 0, 0);

const fn insn(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        opcode,
        dst,
        src,
        off,
        imm,
    }
}

/// `dst op= imm`.
const fn alu_k(op: u8, dst: u8, imm: i32) -> Insn {
    insn(0x07 | op, dst, 0, 0, imm)
}

/// `dst op= src`.
const fn alu_x(op: u8, dst: u8, src: u8) -> Insn {
    insn(0x0f | op, dst, src, 0, 0)
}

/// `if dst op imm goto +off`.
const fn jump_k(op: u8, dst: u8, imm: i32, off: i16) -> Insn {
    insn(0x05 | op, dst, 0, off, imm)
}

/// `if dst op src goto +off`.
const fn jump_x(op: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(0x0d | op, dst, src, off, 0)
}

/// `goto +off`.
const fn ja(off: i16) -> Insn {
    insn(0x05, 0, 0, off, 0)
}

/// `dst = *(size *)(src + off)`.
const fn load(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(0x61 | size, dst, src, off, 0)
}

/// `*(size *)(dst + off) = src`.
const fn store(size: u8, dst: u8, off: i16, src: u8) -> Insn {
    insn(0x63 | size, dst, src, off, 0)
}

const fn call(helper: i32) -> Insn {
    insn(0x85, 0, 0, 0, helper)
}

/// Mixes a number 2,000 times.
fn alu_loop() -> Vec<Insn> {
    vec![
        alu_k(MOV, 0, 1),
        alu_k(MOV, 3, 2000),
        alu_k(ADD, 0, 7),
        alu_x(XOR, 0, 3),
        alu_x(MOV, 4, 0),
        alu_k(LSH, 4, 5),
        alu_x(ADD, 0, 4),
        alu_x(MOV, 5, 0),
        alu_k(RSH, 5, 7),
        alu_x(XOR, 0, 5),
        alu_k(OR, 0, 1),
        alu_k(SUB, 3, 1),
        jump_k(JNE, 3, 0, -11),
        EXIT,
    ]
}

/// Sums the bytes of the memory.
fn byte_sum() -> Vec<Insn> {
    vec![
        alu_k(MOV, 0, 0),
        alu_x(MOV, 2, 1),
        alu_k(ADD, 2, MEMORY_BYTES),
        load(BYTE, 3, 1, 0),
        alu_x(ADD, 0, 3),
        alu_k(ADD, 1, 1),
        jump_x(JNE, 1, 2, -4),
        EXIT,
    ]
}

/// Adds to each number of the memory.
fn read_modify_write() -> Vec<Insn> {
    vec![
        alu_k(MOV, 0, 0),
        alu_x(MOV, 2, 1),
        alu_k(ADD, 2, MEMORY_BYTES),
        load(LONG, 3, 1, 0),
        alu_k(ADD, 3, 3),
        store(LONG, 1, 0, 3),
        alu_k(ADD, 1, 8),
        jump_x(JNE, 1, 2, -5),
        EXIT,
    ]
}

/// Counts the steps of the collatz sequences from 1 to 150.
fn collatz() -> Vec<Insn> {
    vec![
        alu_k(MOV, 0, 0),
        alu_k(MOV, 6, 1),
        // For each start:
        alu_x(MOV, 7, 6),
        jump_k(JEQ, 7, 1, 9),
        alu_k(ADD, 0, 1),
        alu_x(MOV, 8, 7),
        alu_k(AND, 8, 1),
        jump_k(JEQ, 8, 0, 3),
        alu_k(MUL, 7, 3),
        alu_k(ADD, 7, 1),
        ja(-8),
        alu_k(RSH, 7, 1),
        ja(-10),
        alu_k(ADD, 6, 1),
        jump_k(JNE, 6, 150, -13),
        EXIT,
    ]
}

/// Counts the primes below 1,000 by trial division.
fn primes() -> Vec<Insn> {
    vec![
        alu_k(MOV, 0, 0),
        alu_k(MOV, 6, 2),
        // For each candidate:
        alu_k(MOV, 7, 2),
        alu_x(MOV, 8, 7),
        alu_x(MUL, 8, 7),
        jump_x(JGT, 8, 6, 5),
        alu_x(MOV, 8, 6),
        alu_x(MOD, 8, 7),
        jump_k(JEQ, 8, 0, 3),
        alu_k(ADD, 7, 1),
        ja(-8),
        alu_k(ADD, 0, 1),
        alu_k(ADD, 6, 1),
        jump_k(JNE, 6, 1000, -12),
        EXIT,
    ]
}

/// Keeps fields of the record that it traces on its stack, with the CPU and the virtual machine: 32 instructions, all
/// of which are executed.
fn tracing() -> Vec<Insn> {
    vec![
        alu_x(MOV, 6, 1),
        load(WORD, 7, 6, 8),
        load(WORD, 8, 6, 12),
        load(WORD, 9, 6, 16),
        jump_k(JEQ, 9, 0x7fff_ffff, 26),
        store(LONG, 10, -8, 7),
        store(LONG, 10, -16, 8),
        store(LONG, 10, -24, 9),
        call(8),
        alu_x(MOV, 2, 0),
        alu_k(LSH, 2, 32),
        alu_x(OR, 2, 7),
        store(LONG, 10, -32, 2),
        call(100),
        store(LONG, 10, -40, 0),
        load(LONG, 1, 6, 24),
        alu_x(XOR, 1, 0),
        alu_k(AND, 1, 0xff),
        load(LONG, 3, 10, -8),
        load(LONG, 4, 10, -16),
        alu_x(ADD, 3, 4),
        load(LONG, 5, 10, -24),
        alu_x(ADD, 3, 5),
        load(LONG, 4, 10, -32),
        alu_x(ADD, 3, 4),
        alu_k(RSH, 3, 1),
        alu_x(ADD, 3, 1),
        store(LONG, 10, -48, 3),
        load(LONG, 0, 10, -48),
        alu_k(AND, 0, 0xffff),
        alu_k(ADD, 0, 1),
        EXIT,
    ]
}
