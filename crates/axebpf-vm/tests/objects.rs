//! Objects made by clang: what is read from them, and what their programs do. The sources are in `tests/objects`.

mod support;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use axebpf_hit::HitGuard;
use axebpf_maps::{Map, MapFlags, MapKind, MapSpec, UpdateFlags};
use axebpf_platform::mock::{self, MOCK};
use axebpf_vm::{
    AttachTarget, Context, LoadError, LoadOptions, Object, ObjectFile, Pinning, PrintkFull,
    PrintkRecord, PrintkSink, ProgramKind, RunEnv,
};
use support::{run_in, run_on};

const COUNTERS: &[u8] = include_bytes!("objects/counters.o");
const CALLS: &[u8] = include_bytes!("objects/calls.o");
const RING: &[u8] = include_bytes!("objects/ring.o");
const LEGACY: &[u8] = include_bytes!("objects/legacy.o");

const RUST: &[u8] = include_bytes!("objects/rust.o");

fn load(elf: &[u8]) -> Object {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse(elf).expect("a readable object");
    file.load(&LoadOptions::new())
        .expect("an acceptable object")
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_ne_bytes()).collect()
}

fn run(object: &Object, program: &str, context: &[u8]) -> u64 {
    let program = object.program(program).expect("a program of this name");
    run_on(program, Context::new(context)).expect("a run to the end")
}

fn value(object: &Object, map: &str, key: &[u8]) -> Option<Vec<u8>> {
    object
        .map(map)
        .expect("a map of this name")
        .read(key)
        .expect("a readable map")
}

#[test]
fn definitions_are_read() {
    let file = ObjectFile::parse(COUNTERS).expect("a readable object");
    assert_eq!(file.license(), "Dual MIT/GPL");
    let spec = |name: &str| {
        let map = file
            .maps()
            .iter()
            .find(|map| map.name() == name)
            .expect("the map");
        (map.spec().clone(), map.pinning())
    };
    let exits = MapSpec::new(MapKind::Hash, 8, 8, 64).named("exits");
    assert_eq!(spec("exits"), (exits, Pinning::None));
    let per_cpu = MapSpec::new(MapKind::PerCpuArray, 4, 16, 4).named("per_cpu");
    assert_eq!(spec("per_cpu"), (per_cpu, Pinning::None));
    let shared = MapSpec::new(MapKind::Array, 4, 16, 8).named("shared");
    assert_eq!(spec("shared"), (shared, Pinning::ByName));
    assert_eq!(
        spec(".data").0,
        MapSpec::new(MapKind::Array, 4, 8, 1).named(".data")
    );
    assert_eq!(
        spec(".bss").0,
        MapSpec::new(MapKind::Array, 4, 12, 1).named(".bss")
    );
    let rodata = MapSpec::new(MapKind::Array, 4, 8, 1).named(".rodata");
    assert_eq!(spec(".rodata").0, rodata.with_flags(MapFlags::RDONLY_PROG));
    let data = file
        .maps()
        .iter()
        .find(|map| map.name() == ".data")
        .expect("the map");
    assert_eq!(data.initial(), Some(&100u64.to_ne_bytes()[..]));

    let names: Vec<_> = file
        .programs()
        .iter()
        .map(|program| program.name())
        .collect();
    assert_eq!(names, ["count_exit", "forget"]);
    let exit = AttachTarget::Tracepoint {
        system: "vmm",
        name: "vcpu_run_exit",
    };
    assert_eq!(file.programs()[0].target(), Some(exit));
}

#[test]
fn counters_count() {
    let object = load(COUNTERS);
    mock::set_mock_cpu_id(2);
    let event = [words(&[0]), halves(&[7, 1, 36])].concat();
    assert_eq!(run(&object, "count_exit", &event), 103);
    assert_eq!(run(&object, "count_exit", &event), 106);
    let key = halves(&[7, 36]);
    assert_eq!(value(&object, "exits", &key), Some(words(&[2])));
    let per_cpu = value(&object, "per_cpu", &halves(&[0])).expect("a value");
    assert_eq!(per_cpu[32..48], words(&[2, 72]));
    assert_eq!(value(&object, ".data", &halves(&[0])), Some(words(&[106])));
    let bss = value(&object, ".bss", &halves(&[0])).expect("a value");
    assert!(bss == [words(&[2]), halves(&[36])].concat(), "{bss:?}");

    assert_eq!(run(&object, "forget", &event), 0);
    assert_eq!(value(&object, "exits", &key), None);
    assert_eq!(
        value(&object, "shared", &halves(&[0])),
        Some(words(&[0, 7]))
    );
    assert_eq!(
        object.program("forget").map(|program| program.maps().len()),
        Some(2)
    );
}

#[test]
fn the_same_object_twice_is_two_objects() {
    let (first, second) = (load(COUNTERS), load(COUNTERS));
    let event = [words(&[0]), halves(&[7, 1, 36])].concat();
    run(&first, "count_exit", &event);
    assert_eq!(value(&first, ".data", &halves(&[0])), Some(words(&[103])));
    assert_eq!(value(&second, ".data", &halves(&[0])), Some(words(&[100])));
    assert_eq!(value(&second, "exits", &halves(&[7, 36])), None);
    assert!(!Arc::ptr_eq(&first.maps()[0], &second.maps()[0]));
}

#[test]
fn functions_are_linked() {
    let object = load(CALLS);
    assert_eq!(run(&object, "nested", &words(&[5])), 4 * 5 + 1);
    assert_eq!(run(&object, "pointers", &words(&[0])), 31 * 3 + 3);
    assert_eq!(run(&object, "same_section", &words(&[0, 0xf0f])), 0xff0);
    let hprobe = AttachTarget::Hprobe {
        symbol: "run_vcpu",
        offset: 8,
    };
    let nested = object.program("nested").expect("the program");
    assert_eq!(
        (nested.target(), nested.kind()),
        (Some(hprobe), ProgramKind::Hprobe)
    );
    assert_eq!(
        object.programs().len(),
        3,
        "static functions are no programs"
    );
}

#[test]
fn legacy_maps_are_read() {
    let object = load(LEGACY);
    let first = object.map("first").expect("the map");
    assert_eq!(
        first.spec(),
        &MapSpec::new(MapKind::Array, 4, 8, 2).named("first")
    );
    let second = MapSpec::new(MapKind::Hash, 8, 4, 16).named("second");
    let second = second.with_flags(MapFlags::NO_PREALLOC);
    assert_eq!(object.map("second").map(|map| map.spec()), Some(&second));
    assert_eq!(run(&object, "legacy", &words(&[41])), 0);
    assert_eq!(value(&object, "first", &halves(&[1])), Some(words(&[41])));
    assert_eq!(value(&object, "second", &words(&[41])), Some(halves(&[5])));
}

#[test]
fn objects_of_bpf_linker_are_read() {
    let object = load(RUST);
    let sums = object.map("SUMS").expect("the map");
    assert_eq!(
        sums.spec(),
        &MapSpec::new(MapKind::Array, 4, 8, 4).named("SUMS")
    );
    let file = ObjectFile::parse(RUST).expect("a readable object");
    let definition = file
        .maps()
        .iter()
        .find(|map| map.name() == "SUMS")
        .expect("the map");
    assert_eq!(definition.pinning(), Pinning::ByName);
    assert_eq!(run(&object, "sum", &words(&[0, 1])), 20);
    assert_eq!(run(&object, "sum", &words(&[0, 3])), 60);
    assert_eq!(value(&object, "SUMS", &halves(&[2])), Some(words(&[60])));
}

#[test]
fn programs_are_chosen() {
    let file = ObjectFile::parse(RING).expect("a readable object");
    let only = |program: &axebpf_vm::ProgramDefinition| program.name() == "output";
    let object = file.load(&LoadOptions::new().with_cpus(1).with_programs(&only));
    let object = object.expect("an acceptable object");
    assert_eq!(object.programs().len(), 1);
    assert_eq!(object.programs()[0].name(), "output");
    assert_eq!(object.maps().len(), file.maps().len());
}

#[test]
fn optional_programs_are_left_out() {
    let mut elf = RING.to_vec();
    let (old, new) = (b"tp/vmm/hypercall\0", b"?tp/vmm/hypcall\0\0");
    for at in 0..elf.len() - old.len() {
        if elf[at..].starts_with(old) {
            elf[at..at + new.len()].copy_from_slice(new);
        }
    }
    let file = ObjectFile::parse(&elf).expect("a readable object");
    let optional: Vec<_> = file
        .programs()
        .iter()
        .filter(|program| program.is_optional())
        .collect();
    assert_eq!(optional.len(), 1);
    let target = AttachTarget::Tracepoint {
        system: "vmm",
        name: "hypcall",
    };
    assert_eq!(optional[0].target(), Some(target));
    assert_eq!(load(&elf).programs().len(), 3);
}

#[test]
fn ring_buffers_work() {
    let object = load(RING);
    mock::set_mock_time(99);
    mock::set_mock_cpu_id(1);
    mock::set_mock_vcpu(4, 0);
    assert_eq!(run(&object, "reserve", &[]), 0);
    assert_eq!(run(&object, "output", &[]), 0);
    assert_eq!(run(&object, "abandon", &[]), 0);
    let mut records = Vec::new();
    let map = object.map("records").expect("the map");
    let ring = map.ring().expect("a ring buffer");
    ring.consume(|record| records.push(record.to_vec()))
        .expect("the only consumer");
    let expected = [
        [words(&[99]), halves(&[1, 4])].concat(),
        [words(&[1]), halves(&[2, 3])].concat(),
    ];
    assert_eq!(records, expected);
    let abandon = object.program("abandon").expect("the program");
    assert_eq!(abandon.stats().abandoned_records, 1);
}

#[test]
fn messages_are_recorded() {
    struct Messages(Mutex<Vec<String>>);
    impl PrintkSink for Messages {
        fn record(&self, _guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
            self.0
                .lock()
                .expect("an unpoisoned lock")
                .push(record.to_string());
            Ok(())
        }
    }
    let object = load(RING);
    let program = object.program("message").expect("the program");
    let context = words(&[0, 3, 0xabc]);
    let sink = Messages(Mutex::default());
    let env = RunEnv::new().with_printk(&sink);
    assert_eq!(run_in(program, Context::new(&context), &env), Ok(26));
    assert_eq!(
        *sink.0.lock().expect("an unpoisoned lock"),
        ["vm 3 called abc from a guest"]
    );
}

#[test]
fn any_alignment_will_do() {
    for shift in 0..8 {
        let mut bytes = vec![0; shift];
        bytes.extend(COUNTERS);
        assert!(
            ObjectFile::parse(&bytes[shift..]).is_ok(),
            "shifted by {shift}"
        );
    }
}

#[test]
fn maps_are_reused_where_they_fit() {
    let first = load(COUNTERS);
    let shared = first.map("shared").expect("the map").clone();
    let asked = RefCell::new(Vec::new());
    let reuse = |definition: &axebpf_vm::MapDefinition| {
        asked.borrow_mut().push(definition.name().to_string());
        (definition.pinning() == Pinning::ByName).then(|| shared.clone())
    };
    let file = ObjectFile::parse(COUNTERS).expect("a readable object");
    let second = file
        .load(&LoadOptions::new().with_reuse(&reuse))
        .expect("an acceptable object");
    assert_eq!(asked.borrow().len(), 6, "each map is asked for once");
    assert!(Arc::ptr_eq(&shared, second.map("shared").expect("the map")));
    run(
        &second,
        "forget",
        &[words(&[0]), halves(&[9, 1, 36])].concat(),
    );
    assert_eq!(value(&first, "shared", &halves(&[0])), Some(words(&[0, 9])));

    let other = Map::create(&MapSpec::new(MapKind::Array, 4, 16, 9).named("shared"), 1);
    let other = Arc::new(other.expect("a possible map"));
    let reuse = |definition: &axebpf_vm::MapDefinition| {
        (definition.name() == "shared").then(|| other.clone())
    };
    let error = file
        .load(&LoadOptions::new().with_reuse(&reuse))
        .expect_err("another map");
    let LoadError::IncompatibleMap {
        map,
        found: 9,
        expected: 8,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(map, "shared");
    assert_eq!(Arc::strong_count(&other), 1, "a failed load keeps nothing");
}

#[test]
fn programs_keep_their_maps() {
    let object = load(COUNTERS);
    let program = object.program("count_exit").expect("the program").clone();
    let map = Arc::downgrade(object.map("exits").expect("the map"));
    drop(object);
    assert!(map.upgrade().is_some());
    let event = [words(&[0]), halves(&[7, 1, 36])].concat();
    assert_eq!(run_on(&program, Context::new(&event)), Ok(103));
    drop(program);
    assert!(map.upgrade().is_none());
}

#[test]
fn values_from_outside_are_seen() {
    let object = load(COUNTERS);
    let data = object.map(".data").expect("the map");
    data.write(&halves(&[0]), &words(&[1000]), UpdateFlags::Any)
        .expect("a writable map");
    assert_eq!(
        run(
            &object,
            "count_exit",
            &[words(&[0]), halves(&[7, 1, 36])].concat()
        ),
        1003
    );
}

#[test]
fn a_short_context_stops_the_program() {
    let object = load(COUNTERS);
    let program = object.program("count_exit").expect("the program");
    assert!(run_on(program, Context::new(&[0; 8])).is_err());
    assert_eq!(program.stats().memory_aborts, 1);
}

#[test]
fn cpus_count_together() {
    let object = load(COUNTERS);
    let program = object.program("count_exit").expect("the program");
    let event = [words(&[0]), halves(&[7, 1, 36])].concat();
    run(&object, "count_exit", &event);
    const RUNS: u64 = 2_000;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..RUNS {
                    run_on(program, Context::new(&event)).expect("a run to the end");
                }
            });
        }
    });
    let count = value(&object, "exits", &halves(&[7, 36])).expect("a value");
    assert_eq!(
        count,
        words(&[4 * RUNS + 1]),
        "atomic increments are not lost"
    );
    let per_cpu = value(&object, "per_cpu", &halves(&[0])).expect("a value");
    let counts = per_cpu
        .chunks(16)
        .map(|cpu| u64::from_ne_bytes(cpu[..8].try_into().expect("8")));
    assert_eq!(
        counts.sum::<u64>(),
        4 * RUNS + 1,
        "each CPU counts for itself"
    );
    assert_eq!(program.stats().runs, 4 * RUNS + 1);
}
