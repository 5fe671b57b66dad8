//! The helpers, and what happens to programs that misuse them.

mod support;

use axebpf_maps::{MapKind, MapSpec, UpdateFlags};
use axebpf_platform::mock;
use axebpf_vm::{CheckError, Context, Helper, Insn, RunError};
use support::{
    EXIT, add, call, eval_with, insn, key, ld_map, lddw, load64, map, mov, mov_reg, program,
    program_with, run, run_on, store64, store64_imm, then,
};

const EINVAL: u64 = -22i64 as u64;
const ENOENT: u64 = -2i64 as u64;
const EEXIST: u64 = -17i64 as u64;
const EFAULT: u64 = -14i64 as u64;

#[test]
fn numbers_are_those_of_linux() {
    let ids: Vec<_> = Helper::ALL.iter().map(|helper| helper.id()).collect();
    assert!(ids.is_sorted_by(|left, right| left < right), "{ids:?}");
    assert_eq!(
        Helper::from_id(113).map(Helper::name),
        Some("probe_read_kernel")
    );
    assert_eq!(Helper::from_id(9), None);
}

#[test]
fn what_cannot_be_here_is_refused_with_a_reason() {
    for id in [93, 94] {
        let error = program(&[mov_reg(1, 10), call(id), EXIT]).map(|_| ());
        let Err(CheckError::RefusedHelper {
            insn: 1, reason, ..
        }) = error
        else {
            panic!("{error:?}");
        };
        assert!(reason.contains("atomic operations"), "{reason}");
    }
    let error = program(&[call(148), EXIT]).map(|_| ());
    let text = error.expect_err("there are no users").to_string();
    assert!(
        text.starts_with("instruction 0: helper 148, bpf_copy_from_user, is not supported: there"),
        "{text}"
    );
    let error = program(&[call(9), EXIT]).map(|_| ());
    assert_eq!(error, Err(CheckError::UnknownHelper { insn: 0, id: 9 }));
}

#[test]
fn lookup_returns_the_live_value() {
    let array = map(&MapSpec::new(MapKind::Array, 4, 8, 2));
    let increment = then(
        key(1),
        &[
            call(1),
            insn(0x15, 0, 0, 4, 0),
            load64(1, 0, 0),
            add(1, 1),
            store64(0, 0, 1),
            mov_reg(0, 1),
            EXIT,
        ],
    );
    assert_eq!(eval_with(&increment, &array), 1);
    assert_eq!(eval_with(&increment, &array), 2);
    let value = array.read(&1u32.to_ne_bytes()).expect("a readable map");
    assert_eq!(value, Some(2u64.to_ne_bytes().to_vec()));
    assert_eq!(
        eval_with(&then(key(2), &[call(1), EXIT]), &array),
        0,
        "there is no index 2"
    );
}

#[test]
fn update_and_delete_follow_their_flags() {
    let hash = map(&MapSpec::new(MapKind::Hash, 4, 8, 2));
    let update = |at, value, flags| {
        let rest = [
            store64_imm(10, -16, value),
            mov_reg(3, 10),
            add(3, -16),
            mov(4, flags),
            call(2),
            EXIT,
        ];
        eval_with(&then(key(at), &rest), &hash)
    };
    let delete = |at| eval_with(&then(key(at), &[call(3), EXIT]), &hash);
    assert_eq!(update(1, 10, 2), ENOENT);
    assert_eq!(update(1, 10, 1), 0);
    assert_eq!(update(1, 11, 1), EEXIST);
    assert_eq!(update(1, 12, 2), 0);
    assert_eq!(update(1, 13, 4), EINVAL);
    assert_eq!(
        hash.read(&1u32.to_ne_bytes()),
        Ok(Some(12u64.to_ne_bytes().to_vec()))
    );
    assert_eq!(delete(1), 0);
    assert_eq!(delete(1), ENOENT);
}

#[test]
fn a_value_can_come_from_another_value() {
    let array = map(&MapSpec::new(MapKind::Array, 4, 8, 2));
    array
        .write(&0u32.to_ne_bytes(), &[9; 8], UpdateFlags::Any)
        .expect("a writable map");
    let mut copy = then(key(0), &[call(1), insn(0x15, 0, 0, 6, 0), mov_reg(3, 0)]);
    copy.extend(key(1));
    copy.extend([mov(4, 0), call(2), EXIT]);
    // The check for null jumps over seven more slots, to the exit.
    let null_check = copy
        .iter()
        .position(|insn| insn.opcode == 0x15)
        .expect("the check");
    copy[null_check].off = (copy.len() - 1 - null_check - 1) as i16;
    assert_eq!(eval_with(&copy, &array), 0);
    assert_eq!(array.read(&1u32.to_ne_bytes()), Ok(Some(vec![9; 8])));
}

#[test]
fn an_access_stays_within_one_value() {
    let array = map(&MapSpec::new(MapKind::Array, 4, 12, 4));
    let access = |offset, size: u8| {
        let rest = [
            call(1),
            insn(0x55, 0, 0, 1, 0),
            EXIT,
            insn(size, 0, 0, offset, 0),
            mov(0, 1),
            EXIT,
        ];
        run(&program_with(
            &then(key(1), &rest),
            std::slice::from_ref(&array),
        ))
    };
    // Bytes, words, and the double word across the end of a value of twelve bytes.
    assert_eq!(access(0, 0x7a), Ok(1));
    assert_eq!(access(8, 0x62), Ok(1));
    assert_eq!(access(11, 0x72), Ok(1));
    assert!(
        matches!(access(12, 0x72), Err(RunError::OutOfBounds { .. })),
        "padding"
    );
    assert!(
        matches!(access(8, 0x7a), Err(RunError::OutOfBounds { .. })),
        "across the end"
    );
    assert!(
        matches!(access(-1, 0x72), Err(RunError::OutOfBounds { .. })),
        "before the value"
    );
    assert_eq!(
        access(16, 0x72),
        Ok(1),
        "the next value is one of the map's, too"
    );
    assert!(
        matches!(access(48, 0x72), Err(RunError::OutOfBounds { .. })),
        "past the last value"
    );
}

#[test]
fn read_only_data_is_read_only() {
    let spec = MapSpec::new(MapKind::Array, 4, 8, 1);
    let data = map(&spec.with_flags(axebpf_maps::MapFlags::RDONLY_PROG));
    data.write(&0u32.to_ne_bytes(), &[7; 8], UpdateFlags::Any)
        .expect("a writable map");
    let address = [insn(0x18, 1, 6, 0, 0), insn(0, 0, 0, 0, 4)];
    let read = [address[0], address[1], insn(0x61, 0, 1, 0, 0), EXIT];
    assert_eq!(eval_with(&read, &data), 0x0707_0707);
    let write = [
        address[0],
        address[1],
        mov(0, 0),
        insn(0x62, 1, 0, 0, 1),
        EXIT,
    ];
    let error = run(&program_with(&write, std::slice::from_ref(&data)));
    assert!(
        matches!(error, Err(RunError::OutOfBounds { insn: 3, .. })),
        "{error:?}"
    );
}

#[test]
fn an_atomic_operation_reads_and_writes() {
    let atomic = |flags| {
        let spec = MapSpec::new(MapKind::Array, 4, 8, 1);
        let data = map(&spec.with_flags(flags));
        run(&program_with(
            &[
                insn(0x18, 1, 6, 0, 0),
                insn(0, 0, 0, 0, 0),
                mov(0, 1),
                insn(0xdb, 1, 0, 0, 0x01),
                EXIT,
            ],
            std::slice::from_ref(&data),
        ))
    };
    assert_eq!(atomic(axebpf_maps::MapFlags::empty()), Ok(0));
    for flags in [
        axebpf_maps::MapFlags::RDONLY_PROG,
        axebpf_maps::MapFlags::WRONLY_PROG,
    ] {
        let refused = atomic(flags);
        assert!(
            matches!(refused, Err(RunError::OutOfBounds { insn: 3, .. })),
            "{flags:?}: {refused:?}"
        );
    }
}

#[test]
fn a_wild_handle_is_no_map() {
    let hash = map(&MapSpec::new(MapKind::Hash, 4, 8, 2));
    let wild = |change: &[Insn]| {
        let mut insns = key(0);
        insns.extend(change);
        insns.extend([call(1), EXIT]);
        run(&program_with(&insns, std::slice::from_ref(&hash)))
    };
    assert_eq!(wild(&[]), Ok(0));
    for change in [add(1, 1), add(1, 1 << 16), mov(1, 0), mov_reg(1, 10)] {
        let error = wild(&[change]);
        assert!(
            matches!(
                error,
                Err(RunError::NotAMap {
                    insn: 6,
                    helper: "map_lookup_elem",
                    arg: 1,
                    ..
                })
            ),
            "{error:?}"
        );
    }
}

#[test]
fn keys_and_values_must_be_the_programs_own() {
    let hash = map(&MapSpec::new(MapKind::Hash, 8, 8, 2));
    let lookup = |pointer: &[Insn]| {
        let mut insns = vec![mov(0, 0)];
        insns.extend(ld_map(1, 0));
        insns.extend(pointer);
        insns.extend([call(1), EXIT]);
        run(&program_with(&insns, std::slice::from_ref(&hash)))
    };
    assert_eq!(lookup(&[mov_reg(2, 10), add(2, -8)]), Ok(0));
    for pointer in [
        [mov_reg(2, 10), add(2, -7)],
        [mov(2, 0), mov(3, 0)],
        [mov_reg(2, 1), add(2, 0)],
    ] {
        let error = lookup(&pointer);
        assert!(
            matches!(error, Err(RunError::OutOfBounds { len: 8, .. })),
            "{error:?}"
        );
    }
}

#[test]
fn per_cpu_values_are_apart() {
    let array = map(&MapSpec::new(MapKind::PerCpuArray, 4, 8, 1));
    let increment = then(
        key(0),
        &[
            call(1),
            insn(0x55, 0, 0, 1, 0),
            EXIT,
            insn(0x7a, 0, 0, 0, 5),
            EXIT,
        ],
    );
    mock::set_mock_cpu_id(3);
    eval_with(&increment, &array);
    let all = array
        .read(&0u32.to_ne_bytes())
        .expect("a readable map")
        .expect("a value");
    let of = |cpu: usize| u64::from_ne_bytes(all[cpu * 8..][..8].try_into().expect("8 bytes"));
    assert_eq!((of(2), of(3)), (0, 5));
}

fn eval_alone(insns: &[Insn]) -> u64 {
    run(&program(insns).expect("an acceptable program")).expect("a run to the end")
}

#[test]
fn time_and_place() {
    mock::set_mock_time(123_456_789);
    assert_eq!(eval_alone(&[call(5), EXIT]), 123_456_789);
    mock::set_mock_cpu_id(5);
    assert_eq!(eval_alone(&[call(8), EXIT]), 5);
    mock::set_mock_vcpu(3, 2);
    mock::set_mock_exit_reason(36);
    assert_eq!(eval_alone(&[call(100), EXIT]), 3);
    assert_eq!(eval_alone(&[call(101), EXIT]), 2);
    assert_eq!(eval_alone(&[call(102), EXIT]), 36);
    mock::clear_mock_vcpu();
    for id in [100, 101, 102] {
        assert_eq!(eval_alone(&[call(id), EXIT]), u64::MAX);
    }
}

/// Reads `size` bytes from `address` to the stack and returns the helper's result and the first eight bytes.
fn probe(address: u64, size: i32) -> Result<(u64, u64), RunError> {
    let [low, high] = lddw(3, address);
    let mut memory = [0u8; 16];
    let insns = [
        mov_reg(6, 1),
        mov_reg(1, 10),
        add(1, -256),
        store64_imm(1, 0, -1),
        mov(2, size),
        low,
        high,
        call(113),
        store64(6, 0, 0),
        load64(0, 10, -256),
        store64(6, 8, 0),
        EXIT,
    ];
    let program = program(&insns).expect("an acceptable program");
    run_on(&program, Context::writable(&mut memory))?;
    let word = |at: usize| u64::from_ne_bytes(memory[at..][..8].try_into().expect("8 bytes"));
    Ok((word(0), word(8)))
}

#[test]
fn probe_read_reads_foreign_memory() {
    let secret: Box<[u64; 32]> = Box::new([0x1122_3344_5566_7788; 32]);
    let address = secret.as_ptr().expose_provenance() as u64;
    assert_eq!(probe(address, 8), Ok((0, 0x1122_3344_5566_7788)));
    assert_eq!(probe(address, 256), Ok((0, 0x1122_3344_5566_7788)));
    assert_eq!(probe(address, 0), Ok((0, u64::MAX)));
}

#[test]
fn probe_read_survives_what_is_not_there() {
    for address in [0, 8, u64::MAX, u64::MAX - 3, 0x8000_0000_0000_0000] {
        assert_eq!(probe(address, 8), Ok((EFAULT, 0)), "{address:#x}");
    }
}

#[test]
fn probe_read_writes_only_to_the_programs_memory() {
    assert!(matches!(
        probe(0, 257),
        Err(RunError::OutOfBounds { len: 257, .. })
    ));
    // The size is 32 bits wide, as in Linux.
    assert!(matches!(
        probe(0, -1),
        Err(RunError::OutOfBounds { .. } | RunError::Budget { .. })
    ));
}

#[test]
fn helpers_are_charged_for_their_bytes() {
    let [low, high] = lddw(3, 8);
    let insns = [
        mov_reg(1, 10),
        add(1, -512),
        mov(2, 512),
        low,
        high,
        call(113),
        mov(0, 0),
        EXIT,
    ];
    let program = program(&insns).expect("an acceptable program");
    // The instructions, the bytes, and the one read that finds that they cannot be read.
    program.set_budget(8 + 64 + 16);
    assert_eq!(run(&program), Ok(0));
    program.set_budget(8 + 64 + 15);
    assert!(matches!(run(&program), Err(RunError::Budget { .. })));
    program.set_budget(63);
    assert_eq!(
        run(&program),
        Err(RunError::Budget {
            insn: 5,
            budget: 63
        })
    );
}
