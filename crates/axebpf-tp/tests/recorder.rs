//! The event buffer. One test at a time: there is one buffer for the process.

use std::sync::{Mutex, MutexGuard};

use axebpf_platform::mock::{MOCK, set_mock_cpu_id, set_mock_time};
use axebpf_tp::{
    FieldValue, Overflow, RECORDER, Recorder, TpError, TracepointManager, define_event, trace,
};

define_event! {
    /// A number.
    event test:number as Number {
        value: u64,
        check: u64,
    }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn start() -> MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    axebpf_hit::install(&MOCK).unwrap();
    TracepointManager::global().enable("test:number").unwrap();
    RECORDER.resize(Recorder::MIN_SIZE).unwrap();
    RECORDER.set_overflow(Overflow::Overwrite);
    guard
}

fn pass(value: u64) {
    set_mock_time(value);
    trace!(number {
        value,
        check: !value
    });
}

/// Takes the value out of a record, and checks that the record is whole.
fn value_of(record: &[u8]) -> u64 {
    let read = |name| match number.field(name).unwrap().value(record) {
        Some(FieldValue::Unsigned(value)) => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(read("check"), !read("value"));
    read("value")
}

/// How many entries fit: five words each.
const FITTING: u64 = Recorder::MIN_SIZE as u64 / 8 / 5;

#[test]
fn overwriting_keeps_the_newest() {
    let _guard = start();
    (0..1000).for_each(pass);
    let mut reader = RECORDER.reader();
    let mut expected = 1000 - FITTING;
    while let Some(entry) = reader.next_entry() {
        assert_eq!(
            (value_of(entry.record), entry.time_ns),
            (expected, expected)
        );
        expected += 1;
    }
    assert_eq!(expected, 1000);
    assert_eq!(RECORDER.lost(), 1000 - FITTING);
}

#[test]
fn discarding_keeps_the_oldest() {
    let _guard = start();
    RECORDER.set_overflow(Overflow::Discard);
    (0..1000).for_each(pass);
    let mut reader = RECORDER.reader();
    for expected in 0..FITTING {
        assert_eq!(value_of(reader.next_entry().unwrap().record), expected);
    }
    assert!(reader.next_entry().is_none());
    assert_eq!(RECORDER.lost(), 1000 - FITTING);
    RECORDER.clear();
    assert_eq!(RECORDER.lost(), 0);
    pass(7);
    assert_eq!(value_of(reader.next_entry().unwrap().record), 7);
    assert_eq!(reader.missed(), 1000 - FITTING);
}

#[test]
fn a_reader_that_keeps_up_misses_nothing() {
    let _guard = start();
    (0..10).for_each(pass);
    let mut reader = RECORDER.follow();
    assert!(reader.next_entry().is_none());
    for value in 0..10_000 {
        pass(value);
        assert_eq!(value_of(reader.next_entry().unwrap().record), value);
        assert!(reader.next_entry().is_none());
    }
    assert_eq!(reader.missed(), 0);
    (0..1000).for_each(pass);
    assert_eq!(
        value_of(reader.next_entry().unwrap().record),
        1000 - FITTING
    );
    assert_eq!(reader.missed(), 1000 - FITTING);
}

#[test]
fn the_cpus_are_merged_in_the_order_of_time() {
    let _guard = start();
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                set_mock_cpu_id(40 + half);
                (0..50).map(|n| 2 * n + u64::from(half)).for_each(pass);
            });
        }
    });
    let mut reader = RECORDER.reader();
    for expected in 0..100 {
        assert_eq!(value_of(reader.next_entry().unwrap().record), expected);
    }
    assert!(reader.next_entry().is_none());
}

#[test]
fn readers_never_see_a_torn_entry() {
    let _guard = start();
    std::thread::scope(|scope| {
        let writers = [
            scope.spawn(|| (0..200_000).for_each(pass)),
            scope.spawn(|| (0..200_000).for_each(pass)),
        ];
        let mut reader = RECORDER.reader();
        let mut seen = 0;
        while !writers.iter().all(|writer| writer.is_finished()) {
            while let Some(entry) = reader.next_entry() {
                value_of(entry.record);
                seen += 1;
            }
        }
        while let Some(entry) = reader.next_entry() {
            value_of(entry.record);
            seen += 1;
        }
        assert!(seen + reader.missed() <= 400_000);
        assert!(seen >= 2 * FITTING);
    });
}

#[test]
fn a_dump_works_inside_a_hit() {
    let _guard = start();
    pass(1_500_000);
    let hit = axebpf_hit::enter().unwrap();
    let mut text = String::new();
    RECORDER.dump(&mut text).unwrap();
    drop(hit);
    let line = text.trim_end();
    assert!(
        line.ends_with("     0.001500: test:number: value=1500000 check=18446744073708051615"),
        "{line}"
    );
}

#[test]
fn sizes_are_checked_and_kept() {
    let _guard = start();
    assert!(matches!(
        RECORDER.resize(1),
        Err(TpError::BufferSize { bytes: 1, .. })
    ));
    assert!(matches!(
        RECORDER.resize(usize::MAX),
        Err(TpError::BufferSize { .. })
    ));
    RECORDER.resize(5000).unwrap();
    assert_eq!(RECORDER.size(), 8192);
    let mut reader = RECORDER.reader();
    pass(1);
    assert_eq!(value_of(reader.next_entry().unwrap().record), 1);
    RECORDER.resize(Recorder::MIN_SIZE).unwrap();
    assert!(reader.next_entry().is_none());
    pass(2);
    assert_eq!(value_of(reader.next_entry().unwrap().record), 2);
}
