//! The helpers, and what happens to programs that misuse them.

mod support;

use std::sync::{Arc, Mutex};

use axebpf_hit::HitGuard;
use axebpf_maps::{Map, MapKind, MapSpec, UpdateFlags};
use axebpf_platform::mock;
use axebpf_vm::{
    Context, Helper, Insn, PrintkFull, PrintkRecord, PrintkSink, Program, RunEnv, RunError,
};
use support::{
    EXIT, add, call, insn, ld_map, lddw, load64, mov, mov_reg, program, program_with, run_in,
    run_on, store32_imm, store64, store64_imm,
};

const EINVAL: u64 = -22i64 as u64;
const ENOENT: u64 = -2i64 as u64;
const EEXIST: u64 = -17i64 as u64;
const EFAULT: u64 = -14i64 as u64;
const EBUSY: u64 = -16i64 as u64;

fn map(spec: &MapSpec) -> Arc<Map> {
    Arc::new(Map::create(spec, 64).expect("a possible map"))
}

fn run(program: &Program) -> Result<u64, RunError> {
    run_on(program, Context::new(&[]))
}

/// Runs a program with one map; the run must end.
fn eval(insns: &[Insn], map: &Arc<Map>) -> u64 {
    run(&program_with(insns, std::slice::from_ref(map))).expect("a run to the end")
}

/// Sets `r1` to map 0 and `r2` to a key of four bytes on the stack, with value `key`.
fn key(key: i32) -> Vec<Insn> {
    let mut insns = vec![store32_imm(10, -4, key)];
    insns.extend(ld_map(1, 0));
    insns.extend([mov_reg(2, 10), add(2, -4)]);
    insns
}

fn then(mut insns: Vec<Insn>, more: &[Insn]) -> Vec<Insn> {
    insns.extend(more);
    insns
}

#[test]
fn numbers_are_those_of_linux() {
    let ids: Vec<_> = Helper::ALL.iter().map(|helper| helper.id()).collect();
    assert_eq!(
        ids,
        [1, 2, 3, 5, 6, 8, 100, 101, 102, 113, 130, 131, 132, 133]
    );
    assert_eq!(
        Helper::from_id(113).map(Helper::name),
        Some("probe_read_kernel")
    );
    assert_eq!(Helper::from_id(4), None);
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
    assert_eq!(eval(&increment, &array), 1);
    assert_eq!(eval(&increment, &array), 2);
    let value = array.read(&1u32.to_ne_bytes()).expect("a readable map");
    assert_eq!(value, Some(2u64.to_ne_bytes().to_vec()));
    assert_eq!(
        eval(&then(key(2), &[call(1), EXIT]), &array),
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
        eval(&then(key(at), &rest), &hash)
    };
    let delete = |at| eval(&then(key(at), &[call(3), EXIT]), &hash);
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
    assert_eq!(eval(&copy, &array), 0);
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
    assert_eq!(eval(&read, &data), 0x0707_0707);
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
    eval(&increment, &array);
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
    program.set_budget(8 + 64);
    assert_eq!(run(&program), Ok(0));
    program.set_budget(8 + 63);
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
    assert_eq!(eval(&submit, &ring), 0);
    assert_eq!(records(&ring), [0x55u64.to_ne_bytes().to_vec()]);
}

#[test]
fn discarded_records_are_not_seen() {
    let ring = ring();
    let discard = reserve(&[mov_reg(1, 6), mov(2, 0), call(133), mov(0, 0), EXIT]);
    assert_eq!(eval(&discard, &ring), 0);
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
    assert_eq!(eval(&then(key(0), &[call(1), EXIT]), &ring), 0);
}

/// Keeps the messages as text.
#[derive(Default)]
struct Messages {
    texts: Mutex<Vec<String>>,
    full: bool,
}

impl PrintkSink for Messages {
    fn record(&self, _guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        if self.full {
            return Err(PrintkFull);
        }
        self.texts
            .lock()
            .expect("an unpoisoned lock")
            .push(record.to_string());
        Ok(())
    }
}

/// Prints `format`, which is in read-only data, with three values.
fn print(format: &[u8], values: [u64; 3], sink: &Messages) -> u64 {
    let spec = MapSpec::new(MapKind::Array, 4, format.len() as u32, 1);
    let data = map(&spec);
    data.write(&0u32.to_ne_bytes(), format, UpdateFlags::Any)
        .expect("a writable map");
    let mut insns = vec![
        insn(0x18, 1, 6, 0, 0),
        insn(0, 0, 0, 0, 0),
        mov(2, format.len() as i32),
    ];
    for (register, value) in (3..).zip(values) {
        insns.extend(lddw(register, value));
    }
    insns.extend([call(6), EXIT]);
    let program = program_with(&insns, std::slice::from_ref(&data));
    run_in(
        &program,
        Context::new(&[]),
        &RunEnv::new().with_printk(sink),
    )
    .expect("a run to the end")
}

#[test]
fn printk_records_messages() {
    let sink = Messages::default();
    let text = c"who is there";
    let address = text.as_ptr().expose_provenance() as u64;
    assert_eq!(
        print(b"%d %llx %s\0", [u64::MAX, 0x1234, address], &sink),
        11
    );
    assert_eq!(print(b"plain\0", [0; 3], &sink), 6);
    assert_eq!(print(b"%s|%s|%u\0", [address, 0, 3], &sink), 9);
    let texts = sink.texts.into_inner().expect("an unpoisoned lock");
    assert_eq!(texts, ["-1 1234 who is there", "plain", "who is there||3"]);
}

#[test]
fn printk_refuses_what_linux_refuses() {
    let sink = Messages::default();
    assert_eq!(
        print(b"%d %d %d %d\0", [0; 3], &sink),
        EINVAL,
        "four values"
    );
    assert_eq!(
        print(b"%y\0", [0; 3], &sink),
        EINVAL,
        "an unknown conversion"
    );
    assert_eq!(
        print(b"no end", [0; 3], &sink),
        EINVAL,
        "no terminating NUL"
    );
    assert_eq!(
        print(b"100%\0", [0; 3], &sink),
        EINVAL,
        "nothing after the percent sign"
    );
    let full = Messages {
        full: true,
        ..Messages::default()
    };
    assert_eq!(print(b"plain\0", [0; 3], &full), EBUSY);
    assert!(
        sink.texts
            .into_inner()
            .expect("an unpoisoned lock")
            .is_empty()
    );
}

#[test]
fn a_program_cannot_run_another_one_on_its_cpu() {
    struct Nested(Program);
    impl PrintkSink for Nested {
        fn record(&self, guard: &HitGuard, _: PrintkRecord<'_>) -> Result<(), PrintkFull> {
            let error = self.0.run(guard, Context::new(&[]), &RunEnv::new());
            assert_eq!(error, Err(RunError::Nested));
            Ok(())
        }
    }
    let inner = program(&[mov(0, 0), EXIT]).expect("an acceptable program");
    let sink = Nested(inner);
    let outer = [
        store64_imm(10, -8, 0x21),
        mov_reg(1, 10),
        add(1, -8),
        mov(2, 2),
        call(6),
        EXIT,
    ];
    let outer = program(&outer).expect("an acceptable program");
    assert_eq!(
        run_in(&outer, Context::new(&[]), &RunEnv::new().with_printk(&sink)),
        Ok(2)
    );
    assert_eq!(sink.0.stats().other_aborts, 1);
}
