//! Going on in another program.

mod support;

use std::sync::Arc;

use axebpf_maps::{Map, MapKind, MapSpec};
use axebpf_vm::{Context, Insn, MAX_TAIL_CALLS, Program};
use support::{
    EXIT, add, call, insn, ld_map, load64, map, mov, mov_reg, program_with, run, run_on,
    store64_imm, then,
};

const TAIL_CALL: i32 = 12;

fn array() -> Arc<Map> {
    map(&MapSpec::new(MapKind::ProgArray, 4, 4, 4))
}

/// Goes on at `index` of the array that is map 0, or returns -1.
fn tail_call(index: i32) -> Vec<Insn> {
    then(
        ld_map(2, 0).to_vec(),
        &[mov(3, index), call(TAIL_CALL), mov(0, -1), EXIT],
    )
}

fn put(array: &Arc<Map>, index: u32, insns: &[Insn]) {
    support::install();
    let program = Arc::new(program_with(insns, std::slice::from_ref(array)));
    let former = array.write_program(index, program).expect("a slot");
    assert!(former.is_none());
}

fn run_with(array: &Arc<Map>, insns: &[Insn]) -> u64 {
    run(&program_with(insns, std::slice::from_ref(array))).expect("a run to the end")
}

#[test]
fn the_other_program_ends_the_run() {
    let array = array();
    put(&array, 1, &[mov(0, 42), EXIT]);
    assert_eq!(run_with(&array, &tail_call(1)), 42);
    assert_eq!(run_with(&array, &tail_call(0)), u64::MAX);
    assert_eq!(run_with(&array, &tail_call(4)), u64::MAX);
    array.clear_programs().expect("an array to empty");
}

#[test]
fn the_other_program_gets_the_context() {
    let array = array();
    put(&array, 0, &[load64(0, 1, 0), insn(0x0f, 0, 2, 0, 0), EXIT]);
    let program = program_with(&tail_call(0), std::slice::from_ref(&array));
    let result = run_on(&program, Context::new(&7u64.to_ne_bytes()));
    assert_eq!(result, Ok(15));
    array.clear_programs().expect("an array to empty");
}

#[test]
fn there_are_so_many_in_a_run() {
    let array = array();
    // Counts in the stack, which goes on, too, and goes on in itself.
    let mut counting = vec![load64(6, 10, -8), add(6, 1), insn(0x7b, 10, 6, -8, 0)];
    counting.extend(ld_map(2, 0));
    counting.extend([mov(3, 0), call(TAIL_CALL), mov_reg(0, 6), EXIT]);
    put(&array, 0, &counting);
    let start = then(vec![store64_imm(10, -8, 0)], &tail_call(0));
    assert_eq!(run_with(&array, &start), u64::from(MAX_TAIL_CALLS));
    array.clear_programs().expect("an array to empty");
}

#[test]
fn the_maps_are_those_of_the_other_program() {
    let array = array();
    let values = map(&MapSpec::new(MapKind::Array, 4, 8, 1));
    // Writes to the first value of map 1, which the first program does not have.
    let mut writes = vec![insn(0x18, 1, 6, 0, 1), insn(0, 0, 0, 0, 0)];
    writes.extend([store64_imm(1, 0, 5), load64(0, 1, 0), EXIT]);
    support::install();
    let maps = [array.clone(), values];
    let other: Program = program_with(&writes, &maps);
    array.write_program(2, Arc::new(other)).expect("a slot");
    assert_eq!(run_with(&array, &tail_call(2)), 5);
    array.clear_programs().expect("an array to empty");
}

#[test]
fn what_is_no_program_array_has_no_program() {
    let values = map(&MapSpec::new(MapKind::Array, 4, 8, 1));
    assert_eq!(run_with(&values, &tail_call(0)), u64::MAX);
}
