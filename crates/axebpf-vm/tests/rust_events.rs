//! A tracing object from Rust: its source is `tests/objects/rust_events.rs`.

mod support;

use axebpf_platform::mock::{MOCK, set_mock_time};
use axebpf_vm::{Context, LoadOptions, Object, ObjectFile};
use support::run_on;

/// Runs a program on the record of an event.
fn pass(object: &Object, program: &str, vcpu: u32, reason: u32) -> i64 {
    let program = object.program(program).expect("a program of this name");
    let mut record = [0; 16];
    record[8..12].copy_from_slice(&vcpu.to_ne_bytes());
    record[12..].copy_from_slice(&reason.to_ne_bytes());
    run_on(program, Context::new(&record)).expect("a run to the end") as i64
}

#[test]
fn exits_are_counted_and_slow_ones_streamed() {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse(include_bytes!("objects/rust_events.o"));
    let file = file.expect("a readable object");
    let object = file
        .load(&LoadOptions::new())
        .expect("an acceptable object");
    assert_eq!(object.license(), "GPL");

    assert_eq!(pass(&object, "enter", 1, 0), 1, "nothing was left before");
    for (ns, slow) in [(999, 2), (1000, 0), (5000, 0)] {
        set_mock_time(1_000_000);
        assert_eq!(pass(&object, "exit", 1, 36), 0);
        set_mock_time(1_000_000 + ns);
        assert_eq!(pass(&object, "enter", 1, 36), slow);
    }
    assert_eq!(pass(&object, "exit", 2, 36), 0);

    let counts = object.map("COUNTS").expect("the map");
    let count = |vcpu: u32, reason: u32| {
        let key = [vcpu, reason].map(u32::to_ne_bytes);
        let count = counts.read(key.as_flattened()).expect("a readable map");
        count.map(|count| u64::from_ne_bytes(*count.first_chunk().expect("eight bytes")))
    };
    assert_eq!(
        [count(1, 36), count(2, 36), count(1, 1)],
        [Some(3), Some(1), None]
    );

    let ring = object.map("SLOW").expect("the map").ring();
    let mut slow = Vec::new();
    ring.expect("a ring buffer")
        .consume(|record| slow.push(record.to_vec()))
        .expect("the only consumer");
    let record = |ns: u64| {
        [
            &1u32.to_ne_bytes()[..],
            &36u32.to_ne_bytes(),
            &ns.to_ne_bytes(),
        ]
        .concat()
    };
    assert_eq!(slow, [record(1000), record(5000)]);
}
