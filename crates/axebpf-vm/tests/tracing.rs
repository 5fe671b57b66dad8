//! Typical tracing objects: loaded, run, and their maps read. The sources are in `tests/objects`.

mod support;

use std::sync::Arc;

use axebpf_maps::UpdateFlags;
use axebpf_platform::mock::{self, MOCK};
use axebpf_platform::{CpuId, HostVirt};
use axebpf_vm::{
    AttachTarget, Context, LoadOptions, MAX_TAIL_CALLS, Object, ObjectFile, RunEnv, StackStart,
};
use support::{run_in, run_on};

/// Loads an object with all of its programs, the optional ones included.
fn load(elf: &[u8]) -> Object {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse(elf).expect("a readable object");
    file.load(&LoadOptions::new().with_programs(&|_| true))
        .expect("an acceptable object")
}

fn run_with(object: &Object, program: &str, context: &[u8], env: &RunEnv<'_>) -> u64 {
    let program = object.program(program).expect("a program of this name");
    run_in(program, Context::new(context), env).expect("a run to the end")
}

fn run(object: &Object, program: &str, context: &[u8]) -> u64 {
    run_with(object, program, context, &RunEnv::new())
}

/// Returns the words of a value.
fn value(object: &Object, map: &str, key: &[u8]) -> Option<Vec<u64>> {
    let map = object.map(map).expect("a map of this name");
    let bytes = map.read(key).expect("a readable map")?;
    let words = bytes.as_chunks().0.iter();
    Some(words.map(|word| u64::from_ne_bytes(*word)).collect())
}

/// Makes the registers of a probe, with these arguments.
fn registers(arguments: [u64; 2], pc: u64) -> Vec<u8> {
    let mut words = [0; 34];
    words[..2].copy_from_slice(&arguments);
    words[32] = pc;
    words
        .iter()
        .flat_map(|word: &u64| word.to_ne_bytes())
        .collect()
}

/// Makes a record: the common header, then numbers of four bytes.
fn record(fields: &[u32]) -> Vec<u8> {
    let header = [0; 8];
    let fields = fields.iter().flat_map(|field| field.to_ne_bytes());
    header.into_iter().chain(fields).collect()
}

#[test]
fn calls_and_events_are_counted() {
    let object = load(include_bytes!("objects/probes.o"));
    let target = |name| object.program(name).expect("the program").target();
    let symbol = "do_sys_openat2";
    assert_eq!(
        target("guest_entry"),
        Some(AttachTarget::Kprobe { symbol, offset: 0 })
    );
    assert_eq!(
        target("guest_return"),
        Some(AttachTarget::Kretprobe { symbol })
    );
    let symbol = "handle_exit";
    assert_eq!(
        target("hypervisor_entry"),
        Some(AttachTarget::Hprobe { symbol, offset: 16 })
    );

    let env = RunEnv::new().with_function(0xffff_8000_0000_0000);
    for _ in 0..3 {
        run_with(&object, "guest_entry", &registers([1, 5], 0), &env);
    }
    run(&object, "hypervisor_entry", &registers([0, 0], 0x4008_0010));
    let calls = |key: u64| value(&object, "by_function_and_argument", &key.to_ne_bytes());
    assert_eq!(calls(0xffff_8000_0000_0005), Some(vec![3]));
    assert_eq!(calls(0x4008_0010), Some(vec![1]));

    mock::set_mock_vcpu(2, 1);
    run(&object, "guest_return", &registers([77, 0], 0));
    let who: u64 = 2 << 32 | 1;
    assert_eq!(
        value(&object, "last_result", &who.to_ne_bytes()),
        Some(vec![77])
    );

    for reason in [36, 22, 36] {
        run(&object, "event", &record(&[1, 0, reason]));
    }
    let events = |reason: u32| value(&object, "by_reason", &reason.to_ne_bytes());
    assert_eq!((events(36), events(22)), (Some(vec![2]), Some(vec![1])));
}

#[test]
fn latencies_make_a_histogram() {
    let object = load(include_bytes!("objects/latency.o"));
    let event = [0; 8];
    for (vcpu, took) in [(0, 1), (1, 1000), (0, 1023), (1, 1024), (0, 1 << 40)] {
        mock::set_mock_vcpu(7, vcpu);
        mock::set_mock_time(5000);
        assert_eq!(run(&object, "begin", &event), 0);
        mock::advance_mock_time(took);
        assert_eq!(run(&object, "end", &event), 0);
    }
    assert_eq!(run(&object, "end", &event), 1, "an end without a beginning");
    let histogram = value(&object, "histograms", &7u32.to_ne_bytes()).expect("a histogram");
    let mut expected = [0; 28];
    expected[0] = 1;
    expected[9] = 2;
    expected[10] = 1;
    expected[26] = 1;
    expected[27] = 1 + 1000 + 1023 + 1024 + (1 << 40);
    assert_eq!(histogram, expected);
    assert_eq!(value(&object, ".bss", &[0; 4]), Some(vec![1]));
    let begins = object.map("begins").expect("the map");
    assert_eq!(begins.keys().count(), 0);
}

#[test]
fn call_chains_are_collected() {
    let object = load(include_bytes!("objects/stacks.o"));
    // Two frame records: the caller's, and its caller's, which is the first one.
    let mut stack = Box::new([0, 0x4000_2000, 0, 0x4000_3000]);
    let base = stack.as_mut_ptr().expose_provenance() as u64;
    stack[0] = base + 16;
    for pc in [0x4000_1000, 0x4000_1000, 0x4000_1004] {
        let start = StackStart::new(HostVirt::new(pc), HostVirt::new(base));
        let env = RunEnv::new().with_stack(&start);
        assert_eq!(run_with(&object, "collect", &[], &env), 0);
    }
    let counts = object.map("counts").expect("the map");
    let mut found = Vec::new();
    for id in counts.keys() {
        let id = id.expect("a readable map");
        let count = value(&object, "counts", &id).expect("a count")[0];
        let chain = value(&object, "chains", &id).expect("a chain");
        found.push((count, chain[..4].to_vec()));
    }
    found.sort_unstable();
    let chain = |pc| vec![pc, 0x4000_2000, 0x4000_3000, 0];
    assert_eq!(found, [(1, chain(0x4000_1004)), (2, chain(0x4000_1000))]);

    mock::set_mock_time(99);
    let start = StackStart::new(HostVirt::new(1), HostVirt::new(base));
    let env = RunEnv::new().with_stack(&start);
    assert_eq!(run_with(&object, "sample", &[], &env), 0);
    let stream = object.map("stream").and_then(|map| map.ring());
    let mut samples = Vec::new();
    let consumed = stream.expect("a ring buffer").consume(|record| {
        let words = record.as_chunks().0.iter();
        samples.push(
            words
                .map(|word| u64::from_ne_bytes(*word))
                .collect::<Vec<_>>(),
        );
    });
    assert_eq!(consumed, Ok(1));
    assert_eq!(samples[0][..5], [99, 16, 0x4000_2000, 0x4000_3000, 0]);

    let without = run_with(&object, "collect", &[], &RunEnv::new());
    assert!((without as i32) < 0, "a probe without a stack");
}

/// Returns the name in an event of `stream.bpf.c`, and who it is of.
fn names(event: &[u8]) -> (String, String) {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&bytes[..end.expect("a terminating NUL")]).to_string()
    };
    (text(&event[16..32]), text(&event[32..64]))
}

#[test]
fn events_are_streamed() {
    let object = load(include_bytes!("objects/stream.o"));
    let name = c"virtio-blk.0";
    let request = |name: u64| {
        let mut request = [0; 24];
        request[8..16].copy_from_slice(&name.to_ne_bytes());
        request[16..20].copy_from_slice(&512u32.to_ne_bytes());
        request
    };
    let good = request(name.as_ptr().expose_provenance() as u64);
    mock::set_mock_vcpu(4, 0);
    assert_eq!(run(&object, "to_ring", &good), 0);
    assert_eq!(run(&object, "to_ring", &request(8)), 1, "no name there");
    mock::clear_mock_vcpu();
    assert_eq!(run(&object, "to_ring", &good), 1, "no virtual machine");

    let ring = object.map("events").and_then(|map| map.ring());
    let mut events = Vec::new();
    let consumed = ring
        .expect("a ring buffer")
        .consume(|event| events.push(names(event)));
    assert_eq!(consumed, Ok(1));
    assert_eq!(events, [("vm4/vcpu0".into(), "virtio-blk.0".into())]);

    mock::set_mock_cpu_id(3);
    assert_eq!(run(&object, "to_cpu", &good), 0);
    let mut events = Vec::new();
    let buffers = object.map("per_cpu").and_then(|map| map.perf());
    let consumed = buffers
        .expect("buffers")
        .consume(|cpu, event| events.push((cpu, names(event))));
    assert_eq!(consumed, Ok(1));
    let expected = (CpuId::new(3), ("hypervisor".into(), "virtio-blk.0".into()));
    assert_eq!(events, [expected]);
}

#[test]
fn each_cpu_counts_for_itself() {
    let object = load(include_bytes!("objects/percpu.o"));
    for (cpu, bytes) in [(0, 100), (2, 1500), (2, 64)] {
        mock::set_mock_cpu_id(cpu);
        assert_eq!(run(&object, "receive", &record(&[9, bytes])), 0);
    }
    let counters = value(&object, "counters", &[0; 4]).expect("counters");
    assert_eq!(counters[..6], [1, 100, 0, 0, 2, 1564]);
    let by_vm = value(&object, "by_vm", &9u32.to_ne_bytes()).expect("a count");
    assert_eq!(by_vm[..3], [1, 0, 2]);

    let cpus = object.map("counters").expect("the map").cpus();
    assert!(run(&object, "report", &[]) >= u64::from(cpus.min(64)));
    let sums = value(&object, ".bss", &[0; 4]).expect("data");
    assert!(sums == [3, 1664] || sums == [1664, 3], "{sums:?}");
}

#[test]
fn programs_go_on_in_others() {
    let object = load(include_bytes!("objects/tail.o"));
    let handlers = object.map("handlers").expect("the map");
    for (index, name) in [(1, "add_value"), (2, "again"), (3, "dispatch")] {
        let program = Arc::clone(object.program(name).expect("the program"));
        let former = handlers.write_program(index, program);
        assert!(matches!(former, Ok(None)));
    }
    let dispatch = |reason| run(&object, "dispatch", &record(&[reason, 40]));
    assert_eq!(dispatch(1), 2);
    assert_eq!(dispatch(2), 2);
    let data = || value(&object, ".bss", &[0; 4]).expect("data");
    let mut counts = data();
    counts.sort_unstable();
    assert_eq!(counts, [0, 2, 81], "unhandled, entered, sum");

    assert_eq!(dispatch(0), 1, "an empty slot");
    assert_eq!(dispatch(4), 1, "no slot");
    assert_eq!(dispatch(3), 1, "over and over");
    let mut counts = data();
    counts.sort_unstable();
    let entered = 2 + 2 + 1 + u64::from(MAX_TAIL_CALLS);
    assert_eq!(counts, [3, entered, 81]);
    handlers.clear_programs().expect("an array of programs");

    let program = object.program("dispatch").expect("the program");
    let before = program.stats().helper_errors;
    let result = run_on(program, Context::new(&record(&[1, 0])));
    assert_eq!(result, Ok(1));
    assert_eq!(program.stats().helper_errors, before + 1);
}

#[test]
fn entries_are_visited() {
    let object = load(include_bytes!("objects/each.o"));
    let table = object.map("table").expect("the map");
    for number in 1..=5u32 {
        let key = [number, 10, 100].map(u32::to_ne_bytes);
        let value = u64::from(number) * 1000;
        table
            .write(key.as_flattened(), &value.to_ne_bytes(), UpdateFlags::Any)
            .expect("a writable map");
    }
    assert_eq!(run(&object, "first_two", &[]), 2);
    assert_eq!(run(&object, "all", &[]), 5);
    let mut sums = value(&object, ".bss", &[0; 4]).expect("data");
    sums.sort_unstable();
    assert_eq!(sums[0], 1 + 2 + 3 + 4 + 5 + 5 * 110);
    assert!(sums[1] <= 15_000 - 3000, "two were taken before: {sums:?}");

    let array = object.map("array").expect("the map");
    for index in 0..4u32 {
        let value = u64::from(index) + 1;
        array
            .write(&index.to_ne_bytes(), &value.to_ne_bytes(), UpdateFlags::Any)
            .expect("a writable map");
    }
    // The inner sum is 1 * 2 + 2 * 3 + 3 * 4, and the keys of the outer one sum up to 6.
    assert_eq!(run(&object, "nested", &[]), 20 * 6);
    let program = object.program("nested").expect("the program");
    assert_eq!(program.stats().abandoned_records, 0);
}

#[test]
fn maps_are_found_in_maps() {
    let object = load(include_bytes!("objects/maps.o"));
    let count = |vm, index| run(&object, "count", &record(&[vm, index]));
    assert_eq!([count(0, 1), count(0, 1), count(2, 0), count(2, 1)], [0; 4]);
    assert_eq!([count(1, 0), count(4, 0)], [1, 1], "no map there");
    assert_eq!(count(0, 2), 2, "no value there");
    let values = |map: &str| {
        [0u32, 1].map(|index| value(&object, map, &index.to_ne_bytes()).expect("a value")[0])
    };
    assert_eq!(values("first"), [0, 2]);
    assert_eq!(values("the_second_one_with_a_long_name"), [1, 1]);

    let program = object.program("forged").expect("the program");
    let result = run_on(program, Context::new(&record(&[0, 0])));
    assert!(
        matches!(result, Err(axebpf_vm::RunError::NotAMap { arg: 1, .. })),
        "{result:?}"
    );
    assert_eq!(run(&object, "calls_weak", &record(&[0, 6])), 7);
}

#[test]
fn the_configuration_of_a_kernel_is_refused() {
    let error = ObjectFile::parse(include_bytes!("objects/kconfig.o"));
    let error = error.expect_err("there is no kernel").to_string();
    assert_eq!(
        error,
        "section \".kconfig\" is not supported: there is no kernel whose configuration could be asked"
    );
}

const SLOTS: &[u8] = include_bytes!("objects/slots.o");

/// Gives the arrays of an object up, as whoever manages them does.
fn clear(object: &Object) {
    let handlers = object.map("handlers").expect("the array");
    handlers.clear_programs().expect("nothing runs");
}

#[test]
fn an_array_starts_with_the_programs_that_the_object_names() {
    let object = load(SLOTS);
    let dispatch = |reason, number| run(&object, "dispatch", &record(&[reason, number]));
    assert_eq!(dispatch(0, 5), 1, "no program there");
    assert_eq!(dispatch(1, 5), 2);
    assert_eq!(dispatch(2, 5), 1, "no program there");
    assert_eq!(dispatch(3, 7), 2);
    assert_eq!(value(&object, "sum", &[0; 4]), Some(vec![5 + 1000 + 7]));
    clear(&object);
}

#[test]
fn a_program_of_an_array_is_loaded() {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse(SLOTS).expect("a readable object");
    let mut kept = None;
    let options = LoadOptions::new();
    let select = |program: &axebpf_vm::ProgramDefinition| program.name() != "again";
    let error = file
        .load(&options.with_programs(&select))
        .expect_err("a slot starts with it");
    let text = error.to_string();
    assert!(text.contains("slot 3 starts with again"), "{text}");

    // An array that is there already stays as it is.
    let first = file.load(&options).expect("an acceptable object");
    let reuse = |map: &axebpf_vm::MapDefinition| {
        (map.name() == "handlers").then(|| Arc::clone(first.map("handlers").expect("the array")))
    };
    let handlers = first.map("handlers").expect("the array");
    handlers.clear_programs().expect("nothing runs");
    kept.replace(file.load(&options.with_reuse(&reuse)).expect("an object"));
    assert_eq!(handlers.keys().count(), 0);
}
