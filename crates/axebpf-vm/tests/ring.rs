//! The helpers for ring buffers.

mod support;

use std::sync::Arc;

use axebpf_maps::{Map, MapKind, MapSpec};
use axebpf_vm::{Insn, RunError};
use support::{
    EXIT, add, call, eval_with, insn, key, ld_map, load64, map, mov, mov_reg, program_with, run,
    store64_imm, then,
};

fn ring() -> Arc<Map> {
    map(&MapSpec::ring(4096))
}

fn records(map: &Arc<Map>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let ring = map.ring().expect("a ring buffer");
    ring.consume(|record| records.push(record.to_vec()))
        .expect("the only consumer");
    records
}

/// Reserves eight bytes; on success runs `rest` with the record in `r6`.
fn reserve(rest: &[Insn]) -> Vec<Insn> {
    let mut insns = ld_map(1, 0).to_vec();
    insns.extend([
        mov(2, 8),
        mov(3, 0),
        call(131),
        insn(0x55, 0, 0, 1, 0),
        EXIT,
        mov_reg(6, 0),
    ]);
    insns.extend(rest);
    insns
}

#[test]
fn records_are_written_in_place_and_submitted() {
    let ring = ring();
    let submit = reserve(&[
        store64_imm(6, 0, 0x55),
        mov_reg(1, 6),
        mov(2, 0),
        call(132),
        mov(0, 0),
        EXIT,
    ]);
    assert_eq!(eval_with(&submit, &ring), 0);
    assert_eq!(records(&ring), [0x55u64.to_ne_bytes().to_vec()]);
}

#[test]
fn discarded_records_are_not_seen() {
    let ring = ring();
    let discard = reserve(&[mov_reg(1, 6), mov(2, 0), call(133), mov(0, 0), EXIT]);
    assert_eq!(eval_with(&discard, &ring), 0);
    assert_eq!(records(&ring), Vec::<Vec<u8>>::new());
}

#[test]
fn a_record_is_out_of_bounds_once_it_is_given_back() {
    let ring = ring();
    let insns = reserve(&[
        store64_imm(6, 0, 1),
        mov_reg(1, 6),
        mov(2, 0),
        call(132),
        store64_imm(6, 0, 2),
        mov(0, 0),
        EXIT,
    ]);
    let program = program_with(&insns, std::slice::from_ref(&ring));
    assert!(matches!(
        run(&program),
        Err(RunError::OutOfBounds { insn: 12, .. })
    ));
    assert_eq!(program.stats().memory_aborts, 1);
    let beyond = reserve(&[store64_imm(6, 1, 2), mov(0, 0), EXIT]);
    let program = program_with(&beyond, std::slice::from_ref(&ring));
    assert!(matches!(
        run(&program),
        Err(RunError::OutOfBounds { insn: 8, .. })
    ));
}

#[test]
fn a_record_is_given_back_once_only() {
    let ring = ring();
    let again = [
        mov_reg(1, 6),
        mov(2, 0),
        call(132),
        mov_reg(1, 6),
        mov(2, 0),
        call(132),
        EXIT,
    ];
    let program = program_with(&reserve(&again), std::slice::from_ref(&ring));
    let error = run(&program);
    assert!(
        matches!(
            error,
            Err(RunError::NotARecord {
                helper: "ringbuf_submit",
                ..
            })
        ),
        "{error:?}"
    );
    let inside = reserve(&[mov_reg(1, 6), add(1, 4), mov(2, 0), call(133), EXIT]);
    let program = program_with(&inside, std::slice::from_ref(&ring));
    assert!(matches!(run(&program), Err(RunError::NotARecord { .. })));
    assert_eq!(program.stats().helper_aborts, 1);
}

#[test]
fn a_reservation_left_behind_is_discarded_and_counted() {
    let ring = ring();
    let leak = program_with(&reserve(&[mov(0, 0), EXIT]), std::slice::from_ref(&ring));
    assert_eq!(run(&leak), Ok(0));
    assert_eq!(leak.stats().abandoned_records, 1);
    assert_eq!(ring.ring().map(|ring| ring.abandoned()), Some(1));
    // The same when the program is stopped.
    let wild = program_with(
        &reserve(&[load64(0, 0, 64), EXIT]),
        std::slice::from_ref(&ring),
    );
    assert!(run(&wild).is_err());
    assert_eq!(wild.stats().abandoned_records, 1);
    assert_eq!(
        records(&ring),
        Vec::<Vec<u8>>::new(),
        "nothing blocks the consumer"
    );
}

#[test]
fn a_program_holds_eight_records_at_most() {
    let ring = ring();
    // Counts in r7 how many reservations succeed of twenty.
    let mut insns = vec![mov(7, 0), mov(8, 20)];
    insns.extend(ld_map(1, 0));
    insns.extend([
        mov(2, 8),
        mov(3, 0),
        call(131),
        insn(0x15, 0, 0, 1, 0),
        add(7, 1),
        add(8, -1),
        insn(0x55, 8, 0, -9, 0),
        mov_reg(0, 7),
        EXIT,
    ]);
    let program = program_with(&insns, std::slice::from_ref(&ring));
    assert_eq!(run(&program), Ok(8));
    assert_eq!(program.stats().abandoned_records, 8);
    assert_eq!(program.stats().helper_errors, 12);
}

#[test]
fn output_copies_a_record() {
    let ring = ring();
    let output = |size| {
        let mut insns = vec![store64_imm(10, -8, 0x77)];
        insns.extend(ld_map(1, 0));
        insns.extend([
            mov_reg(2, 10),
            add(2, -8),
            mov(3, size),
            mov(4, 0),
            call(130),
            EXIT,
        ]);
        run(&program_with(&insns, std::slice::from_ref(&ring)))
    };
    assert_eq!(output(8), Ok(0));
    assert_eq!(output(3), Ok(0));
    assert_eq!(
        records(&ring),
        [0x77u64.to_ne_bytes().to_vec(), vec![0x77, 0, 0]]
    );
    assert!(matches!(
        output(9),
        Err(RunError::OutOfBounds { len: 9, .. })
    ));
    assert!(matches!(
        output(-1),
        Err(RunError::OutOfBounds { .. } | RunError::Budget { .. })
    ));
}

#[test]
fn a_map_of_another_kind_is_an_error_to_the_program() {
    let hash = map(&MapSpec::new(MapKind::Hash, 4, 8, 2));
    let mut insns = ld_map(1, 0).to_vec();
    insns.extend([mov(2, 8), mov(3, 0), call(131), EXIT]);
    let program = program_with(&insns, std::slice::from_ref(&hash));
    assert_eq!(run(&program), Ok(0));
    assert_eq!(program.stats().helper_errors, 1);
    let ring = ring();
    assert_eq!(eval_with(&then(key(0), &[call(1), EXIT]), &ring), 0);
}
