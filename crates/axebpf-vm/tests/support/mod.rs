//! What the tests share: a small assembler, and running under the mock platform.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module of each test")]

use std::sync::Arc;

use axebpf_maps::{Map, MapSpec};
use axebpf_platform::mock::MOCK;
use axebpf_vm::{CheckError, Context, Insn, Program, RunEnv, RunError};

/// Builds a slot from its fields.
pub const fn insn(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        opcode,
        dst,
        src,
        off,
        imm,
    }
}

pub const EXIT: Insn = insn(0x95, 0, 0, 0, 0);

/// `dst = imm`, 64 bits, the sign extended.
pub const fn mov(dst: u8, imm: i32) -> Insn {
    insn(0xb7, dst, 0, 0, imm)
}

/// `dst = src`, 64 bits.
pub const fn mov_reg(dst: u8, src: u8) -> Insn {
    insn(0xbf, dst, src, 0, 0)
}

/// `dst += imm`, 64 bits.
pub const fn add(dst: u8, imm: i32) -> Insn {
    insn(0x07, dst, 0, 0, imm)
}

/// `goto +off`.
pub const fn ja(off: i16) -> Insn {
    insn(0x05, 0, 0, off, 0)
}

/// Calls a helper.
pub const fn call(id: i32) -> Insn {
    insn(0x85, 0, 0, 0, id)
}

/// Calls the function `distance` slots on.
pub const fn call_local(distance: i32) -> Insn {
    insn(0x85, 0, 1, 0, distance)
}

/// `dst = value`, in two slots.
pub const fn lddw(dst: u8, value: u64) -> [Insn; 2] {
    [
        insn(0x18, dst, 0, 0, value as i32),
        insn(0, 0, 0, 0, (value >> 32) as i32),
    ]
}

/// `dst = map number index`, in two slots.
pub const fn ld_map(dst: u8, index: i32) -> [Insn; 2] {
    [insn(0x18, dst, 5, 0, index), insn(0, 0, 0, 0, 0)]
}

/// `*(u64 *)(dst + off) = src`.
pub const fn store64(dst: u8, off: i16, src: u8) -> Insn {
    insn(0x7b, dst, src, off, 0)
}

/// `*(u64 *)(dst + off) = imm`.
pub const fn store64_imm(dst: u8, off: i16, imm: i32) -> Insn {
    insn(0x7a, dst, 0, off, imm)
}

/// `*(u32 *)(dst + off) = imm`.
pub const fn store32_imm(dst: u8, off: i16, imm: i32) -> Insn {
    insn(0x62, dst, 0, off, imm)
}

/// `dst = *(u64 *)(src + off)`.
pub const fn load64(dst: u8, src: u8, off: i16) -> Insn {
    insn(0x79, dst, src, off, 0)
}

/// Returns the bytes of a program.
pub fn bytes(insns: &[Insn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes()).collect()
}

/// Makes a program, or says why it is refused.
pub fn program(insns: &[Insn]) -> Result<Program, CheckError> {
    Program::from_insns(&bytes(insns), &[])
}

/// Makes a program with maps, which must be acceptable.
pub fn program_with(insns: &[Insn], maps: &[Arc<Map>]) -> Program {
    Program::from_insns(&bytes(insns), maps).expect("an acceptable program")
}

/// Runs a program on a context.
pub fn run_on(program: &Program, context: Context<'_>) -> Result<u64, RunError> {
    run_in(program, context, &RunEnv::new())
}

/// Runs a program on a context, in an environment.
pub fn run_in(program: &Program, context: Context<'_>, env: &RunEnv<'_>) -> Result<u64, RunError> {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let guard = axebpf_hit::enter().expect("no test runs inside a hit");
    program.run(&guard, context, env)
}

/// Makes and runs a program on memory that it may write; both must succeed.
pub fn eval_on(insns: &[Insn], memory: &mut [u8]) -> u64 {
    let program = program(insns).expect("an acceptable program");
    run_on(&program, Context::writable(memory)).expect("a run to the end")
}

/// Makes and runs a program without memory; both must succeed.
pub fn eval(insns: &[Insn]) -> u64 {
    eval_on(insns, &mut [])
}

/// Makes and runs a program without memory, which must be acceptable and stop early.
pub fn fault(insns: &[Insn]) -> RunError {
    let program = program(insns).expect("an acceptable program");
    run_on(&program, Context::new(&[])).expect_err("a run that is stopped")
}

/// Makes a map.
pub fn map(spec: &MapSpec) -> Arc<Map> {
    Arc::new(Map::create(spec, 64).expect("a possible map"))
}

/// Runs a program without a context.
pub fn run(program: &Program) -> Result<u64, RunError> {
    run_on(program, Context::new(&[]))
}

/// Runs a program with one map; the run must end.
pub fn eval_with(insns: &[Insn], map: &Arc<Map>) -> u64 {
    run(&program_with(insns, std::slice::from_ref(map))).expect("a run to the end")
}

/// Sets `r1` to map 0 and `r2` to a key of four bytes on the stack, with value `key`.
pub fn key(key: i32) -> Vec<Insn> {
    let mut insns = vec![store32_imm(10, -4, key)];
    insns.extend(ld_map(1, 0));
    insns.extend([mov_reg(2, 10), add(2, -4)]);
    insns
}

/// Joins instructions.
pub fn then(mut insns: Vec<Insn>, more: &[Insn]) -> Vec<Insn> {
    insns.extend(more);
    insns
}

/// Installs the platform that all tests run on.
pub fn install() {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
}
