//! Functions of the program that helpers call.

mod support;

use axebpf_maps::{MapKind, MapSpec, UpdateFlags};
use axebpf_vm::{Insn, RunError};
use support::{
    EXIT, add, call, call_local, eval, fault, insn, install, ld_map, load64, map, mov, mov_reg,
    program, program_with, run, store64, store64_imm, then,
};

const LOOP: i32 = 181;
const FOR_EACH: i32 = 164;

/// Sets `dst` to the address of the function `distance` slots after the second slot.
fn function(dst: u8, distance: i32) -> [Insn; 2] {
    // The distance counts from the slot after the first one.
    [insn(0x18, dst, 4, 0, distance + 1), insn(0, 0, 0, 0, 0)]
}

/// Runs `callback` `count` times on a number on the stack that starts at 0; returns that number times 1000 plus
/// what the helper returned.
fn looped(count: i32, callback: &[Insn]) -> Vec<Insn> {
    let mut insns = vec![store64_imm(10, -8, 0), mov(1, count)];
    insns.extend(function(2, 8));
    insns.extend([
        mov_reg(3, 10),
        add(3, -8),
        mov(4, 0),
        call(LOOP),
        load64(1, 10, -8),
        insn(0x27, 1, 0, 0, 1000),
        insn(0x0f, 0, 1, 0, 0),
        EXIT,
    ]);
    then(insns, callback)
}

/// Adds the number of the iteration to the number on the caller's stack.
fn adds(result: i32) -> Vec<Insn> {
    vec![
        load64(3, 2, 0),
        insn(0x0f, 3, 1, 0, 0),
        store64(2, 0, 3),
        mov(6, 77),
        mov(0, result),
        EXIT,
    ]
}

#[test]
fn a_loop_calls_its_function_with_the_number_of_the_iteration() {
    assert_eq!(eval(&looped(10, &adds(0))), 45_010);
    assert_eq!(eval(&looped(0, &adds(0))), 0);
}

#[test]
fn a_loop_ends_when_its_function_says_so() {
    assert_eq!(eval(&looped(10, &adds(1))), 1);
}

#[test]
fn a_loop_has_a_limit_and_no_flags() {
    assert_eq!(eval(&looped((8 << 20) + 1, &adds(0))) as i64, -7);
    let mut insns = looped(3, &adds(0));
    insns[6] = mov(4, 1);
    assert_eq!(eval(&insns) as i64, -22);
}

#[test]
fn the_callers_registers_survive() {
    let mut insns = vec![mov(6, 5), mov(9, 7), mov(1, 3)];
    insns.extend(function(2, 6));
    insns.extend([
        mov(3, 0),
        mov(4, 0),
        call(LOOP),
        mov_reg(0, 6),
        insn(0x0f, 0, 9, 0, 0),
        EXIT,
    ]);
    insns.extend([mov(6, 0), mov(9, 0), mov(0, 0), EXIT]);
    assert_eq!(eval(&insns), 12);
}

#[test]
fn iterations_cost_budget() {
    let program = program(&looped(8 << 20, &adds(0))).expect("an acceptable program");
    assert!(matches!(run(&program), Err(RunError::Budget { .. })));
}

#[test]
fn what_is_no_function_is_not_called() {
    let mut insns = looped(3, &adds(0));
    insns[2] = mov(2, 12);
    insns[3] = mov(2, 12);
    assert_eq!(
        fault(&insns),
        RunError::NotAFunction {
            insn: 7,
            target: 12
        }
    );
}

#[test]
fn callbacks_nest_as_deep_as_calls() {
    // The callback starts a loop with itself.
    let nested = then(
        then(vec![mov(1, 1)], &function(2, -2)),
        &[mov(3, 0), mov(4, 0), call(LOOP), mov(0, 0), EXIT],
    );
    let mut insns = looped(1, &nested);
    // The function starts where the main function ends.
    insns[13] = insn(0x18, 2, 4, 0, -2);
    assert!(matches!(
        fault(&insns),
        RunError::CallDepth { limit: 8, .. }
    ));
}

#[test]
fn a_callback_calls_functions() {
    let callback = [
        call_local(2),
        mov(0, 0),
        EXIT,
        load64(3, 2, 0),
        add(3, 2),
        store64(2, 0, 3),
        EXIT,
    ];
    assert_eq!(eval(&looped(4, &callback)), 8_004);
}

/// Visits the entries of a map with a function that does nothing.
fn visits_all() -> Vec<Insn> {
    let mut insns = ld_map(1, 0).to_vec();
    insns.extend(function(2, 4));
    insns.extend([mov(3, 0), mov(4, 0), call(FOR_EACH), EXIT]);
    then(insns, &[mov(0, 0), EXIT])
}

#[test]
fn a_large_map_costs_what_is_in_it() {
    install();
    let spec = MapSpec::new(MapKind::Hash, 4, 8, 1 << 20);
    let map = map(&spec);
    for key in [3u32, 70_000, 1_000_000] {
        map.write(&key.to_ne_bytes(), &[0; 8], UpdateFlags::Any)
            .expect("room");
    }
    let program = program_with(&visits_all(), &[map]);
    assert_eq!(run(&program), Ok(3));
    program.set_budget(1000);
    let stopped = run(&program);
    assert!(
        matches!(stopped, Err(RunError::Budget { .. })),
        "{stopped:?}"
    );
}

#[test]
fn each_entry_costs_its_call() {
    const ENTRIES: u32 = 100_000;
    let spec = MapSpec::new(MapKind::Array, 4, 8, ENTRIES);
    let map = map(&spec);
    let program = program_with(&visits_all(), &[map]);
    let stopped = run(&program);
    assert!(
        matches!(stopped, Err(RunError::Budget { .. })),
        "{stopped:?}"
    );
    program.set_budget(4 * ENTRIES);
    assert_eq!(run(&program), Ok(ENTRIES.into()));
}
