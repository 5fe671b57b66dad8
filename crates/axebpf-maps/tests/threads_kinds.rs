//! Real threads as CPUs on the kinds that are neither plain tables nor ring buffers.
#![cfg(not(loom))]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, StackFlags, UpdateFlags};
use support::{counter, create, hit, install, until_free};

const THREADS: u64 = 4;
const ANY: UpdateFlags = UpdateFlags::Any;

/// As many CPUs as threads may have numbers.
fn create_for_all(spec: &MapSpec) -> Map {
    install();
    Map::create(spec, 64).expect("the specification is fine")
}

fn words(number: u64, count: usize) -> Vec<u8> {
    number.to_ne_bytes().repeat(count)
}

/// Returns the number of which a value consists, which shows that it is whole.
fn whole(value: &[u8]) -> u64 {
    let words: BTreeSet<_> = value
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word))
        .collect();
    assert_eq!(words.len(), 1, "the value is whole: {value:x?}");
    words.into_iter().next().expect("there is one")
}

#[test]
fn what_goes_into_a_queue_comes_out_once() {
    const ROUNDS: u64 = 5_000;
    for kind in [MapKind::Queue, MapKind::Stack] {
        let map = create_for_all(&MapSpec::new(kind, 0, 32, 7));
        let done = AtomicBool::new(false);
        let mut seen: Vec<u64> = Vec::new();
        let pushed: u64 = thread::scope(|scope| {
            let map = &map;
            let pushing: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || push_all(map, thread, ROUNDS)))
                .collect();
            let popping = scope.spawn(|| pop_all(map, &done));
            let taking = scope.spawn(|| take_all(map, &done));
            let pushed = pushing
                .into_iter()
                .map(|thread| thread.join().expect("no assertion failed"));
            let pushed = pushed.sum();
            done.store(true, Ordering::Release);
            seen.extend(popping.join().expect("no assertion failed"));
            seen.extend(taking.join().expect("no assertion failed"));
            pushed
        });
        assert_eq!(seen.len() as u64, pushed);
        assert_eq!(
            seen.into_iter().collect::<BTreeSet<_>>().len() as u64,
            pushed
        );
        assert_eq!(map.stats().entries, Some(0));
    }
}

/// Pushes numbers that only this thread has, and returns how many found room.
fn push_all(map: &Map, thread: u64, rounds: u64) -> u64 {
    let mut pushed = 0;
    for round in 0..rounds {
        let value = words(thread << 32 | round, 4);
        match until_free(|guard| map.push(guard, &value, ANY)) {
            Ok(()) => pushed += 1,
            Err(error) => {
                assert_eq!(error, MapError::Full { limit: 7 });
                thread::yield_now();
            }
        }
    }
    pushed
}

fn pop_all(map: &Map, done: &AtomicBool) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let last = done.load(Ordering::Acquire);
        let mut value = [0; 32];
        match until_free(|guard| map.pop(guard, &mut value)) {
            Ok(()) => seen.push(whole(&value)),
            Err(error) => {
                assert_eq!(error, MapError::NotFound);
                if last {
                    return seen;
                }
                thread::yield_now();
            }
        }
    }
}

fn take_all(map: &Map, done: &AtomicBool) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let last = done.load(Ordering::Acquire);
        match map.take(&[]).expect("not in a hit") {
            Some(value) => seen.push(whole(&value)),
            None if last => return seen,
            None => thread::yield_now(),
        }
    }
}

#[test]
fn forgetting_loses_no_slot_and_mixes_no_values() {
    const ROUNDS: u64 = 10_000;
    let map = create_for_all(&MapSpec::new(MapKind::LruHash, 8, 32, 16));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let map = &map;
            scope.spawn(move || {
                let mut state = thread + 1;
                for _ in 0..ROUNDS {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let key = state % 50;
                    let bytes = key.to_ne_bytes();
                    let done = match state >> 32 & 7 {
                        0 => until_free(|guard| map.delete(guard, &bytes)),
                        1 => until_free(|guard| map.lookup(guard, &bytes).map(drop)),
                        2 => map.write(&bytes, &words(key, 4), ANY),
                        3 => {
                            let read = map.read(&bytes).expect("readable");
                            assert!(read.is_none_or(|value| whole(&value) == key));
                            Ok(())
                        }
                        _ => until_free(|guard| map.update(guard, &bytes, &words(key, 4), ANY)),
                    };
                    assert!(matches!(done, Ok(()) | Err(MapError::NotFound)), "{done:?}");
                }
            });
        }
    });
    assert!(map.stats().evicted > 0);
    let keys: Vec<_> = map.keys().map(|key| key.expect("readable")).collect();
    assert_eq!(map.stats().entries, Some(keys.len() as u32));
    keys.iter()
        .for_each(|key| map.remove(key).expect("it is there"));
    let before = map.stats().evicted;
    for number in 0_u64..16 {
        map.write(
            &number.to_ne_bytes(),
            &words(number, 4),
            UpdateFlags::NoExist,
        )
        .expect("room");
    }
    assert_eq!(map.stats().evicted, before, "all slots were free");
}

#[test]
fn hits_find_inner_maps_and_programs_while_they_are_replaced() {
    const ROUNDS: u64 = 300;
    let template = MapSpec::new(MapKind::Array, 4, 8, 1);
    let key = |number: u64| (number as u32).to_ne_bytes();
    for kind in [MapKind::ArrayOfMaps, MapKind::HashOfMaps] {
        let outer = create_for_all(&MapSpec::new(kind, 4, 4, 2).with_inner(template.clone()));
        let programs = create_for_all(&MapSpec::new(MapKind::ProgArray, 4, 4, 2));
        let inner = |number: u64| {
            let inner = create(&template);
            inner
                .write(&[0; 4], &number.to_ne_bytes(), ANY)
                .expect("in range");
            Arc::new(inner)
        };
        let done = AtomicBool::new(false);
        let found = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        for number in 0..2 {
                            found.fetch_add(look(&outer, &programs, number), Ordering::Relaxed);
                        }
                    }
                });
            }
            for round in 0..ROUNDS {
                let number = round % 2;
                outer
                    .write_inner(&key(number), inner(number), ANY)
                    .expect("there is room");
                programs
                    .write_program(number as u32, Arc::new(number))
                    .expect("in range");
                if round % 3 == 0 {
                    outer.remove(&key(number)).expect("it was just written");
                    // The slot of a hash now serves the other key.
                    outer
                        .write_inner(&key(1 - number), inner(1 - number), ANY)
                        .expect("room");
                }
            }
            while found.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

/// Looks at inner map and program `number`; returns how many there are.
fn look(outer: &Map, programs: &Map, number: u64) -> u64 {
    let guard = hit();
    let mut count = 0;
    if let Ok(Some(inner)) = outer.inner(&guard, &(number as u32).to_ne_bytes()) {
        let value = inner
            .map
            .lookup(&guard, &[0; 4])
            .expect("free")
            .expect("in range");
        assert_eq!(
            counter(value).load(Ordering::Relaxed),
            number,
            "that of the key"
        );
        count += 1;
    }
    if let Ok(Some(program)) = programs.program(&guard, number as u32) {
        assert_eq!(program.downcast_ref(), Some(&number));
        count += 1;
    }
    count
}

#[test]
fn stacks_are_whole() {
    const ROUNDS: u64 = 5_000;
    let map = create_for_all(&MapSpec::new(MapKind::StackTrace, 4, 64, 4));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (map, done) = (&map, &done);
        let writing: Vec<_> = (1..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let frames = [(thread + round) % 20 + 1; 8];
                        let flags =
                            [StackFlags::REUSE_STACKID, StackFlags::empty()][round as usize % 2];
                        let id = until_free(|guard| map.stack_id(guard, &frames, flags));
                        assert!(matches!(id, Ok(0..4) | Err(MapError::Exists)), "{id:?}");
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                for id in 0_u32..4 {
                    if let Some(stack) = map.read(&id.to_ne_bytes()).expect("readable") {
                        assert!((1..=20).contains(&whole(&stack)));
                        let _ = map.remove(&id.to_ne_bytes());
                    }
                }
            }
        });
        writing
            .into_iter()
            .for_each(|thread| thread.join().expect("no assertion failed"));
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn each_cpu_has_its_perf_records() {
    const ROUNDS: u64 = 5_000;
    let map = create_for_all(&MapSpec::new(MapKind::PerfEventArray, 4, 4, 0));
    let buffers = map.perf().expect("it is a perf event array");
    let done = AtomicBool::new(false);
    let mut seen = 0;
    let written: u64 = thread::scope(|scope| {
        let writing: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut written = 0;
                    for _ in 0..ROUNDS {
                        let guard = hit();
                        let record = words(u64::from(guard.cpu().get()), 5);
                        match buffers.output(&guard, 0xffff_ffff, &record) {
                            Ok(()) => written += 1,
                            Err(error) => assert_eq!(error, MapError::RingFull { len: 40 }),
                        }
                    }
                    written
                })
            })
            .collect();
        let consuming = scope.spawn(|| {
            let (mut seen, mut last) = (0, false);
            while !last {
                last = done.load(Ordering::Acquire);
                seen += buffers
                    .consume(|cpu, record| assert_eq!(whole(record), u64::from(cpu.get())))
                    .expect("sound") as u64;
            }
            seen
        });
        let written = writing
            .into_iter()
            .map(|thread| thread.join().expect("no assertion failed"));
        let written = written.sum();
        done.store(true, Ordering::Release);
        seen = consuming.join().expect("no assertion failed");
        written
    });
    assert_eq!(seen, written);
    assert_eq!(written + map.stats().lost, THREADS * ROUNDS);
}
