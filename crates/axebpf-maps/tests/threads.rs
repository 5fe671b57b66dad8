//! Real threads as CPUs, all on one map at once.
#![cfg(not(loom))]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};
use support::{counter, create, hit, install, store, until_free};

const THREADS: u64 = 4;
const ANY: UpdateFlags = UpdateFlags::Any;

/// As many CPUs as threads may have numbers.
fn create_for_all(spec: &MapSpec) -> Map {
    install();
    Map::create(spec, 64).expect("the specification is fine")
}

/// A cheap source of numbers that differ between threads.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn key(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

/// Increments the counter of `key` as a program does: looks it up, inserts it if it is not there.
fn increment(map: &Map, key: &[u8]) {
    loop {
        let found = until_free(|guard| {
            let found = map.lookup(guard, key)?;
            Ok(found
                .map(|value| counter(value).fetch_add(1, Ordering::Relaxed))
                .is_some())
        });
        if found.expect("lookups do not fail") {
            return;
        }
        let inserted = until_free(|guard| map.update(guard, key, &key64(0), UpdateFlags::NoExist));
        assert!(
            matches!(inserted, Ok(()) | Err(MapError::Exists)),
            "{inserted:?}"
        );
    }
}

fn key64(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

#[test]
fn no_increment_is_lost() {
    const ROUNDS: u64 = 20_000;
    const KEYS: u64 = 16;
    for kind in [MapKind::Hash, MapKind::PerCpuHash] {
        let map = create_for_all(&MapSpec::new(kind, 8, 8, 64));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let counting: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let map = &map;
                    scope.spawn(move || {
                        let mut state = seed + 1;
                        (0..ROUNDS).for_each(|_| increment(map, &key(random(&mut state) % KEYS)));
                    })
                })
                .collect();
            // Meanwhile, other keys come and go in the same chains.
            scope.spawn(|| {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    number = (number + 1) % 40;
                    let other = key(1000 + number);
                    map.write(&other, &key64(1), ANY).expect("there is room");
                    map.remove(&other).expect("it was just written");
                }
            });
            counting
                .into_iter()
                .for_each(|thread| thread.join().expect("no assertion failed"));
            done.store(true, Ordering::Relaxed);
        });
        let values =
            (0..KEYS).map(|number| map.read(&key(number)).expect("readable").expect("there"));
        let sum: u64 = values
            .flat_map(|entry| entry.as_chunks().0.to_vec())
            .map(u64::from_ne_bytes)
            .sum();
        assert_eq!(sum, THREADS * ROUNDS);
    }
}

/// A value all of whose words say which key it belongs to and that they were written together.
fn telling(key: u64, version: u64) -> Vec<u8> {
    (key << 32 | version & 0xffff_ffff).to_ne_bytes().repeat(6)
}

fn check_telling(key: u64, value: &[u8]) {
    let words: Vec<_> = value
        .as_chunks()
        .0
        .iter()
        .copied()
        .map(u64::from_ne_bytes)
        .collect();
    assert_eq!(words[0] >> 32, key, "the value is that of the key");
    assert!(
        words.iter().all(|word| *word == words[0]),
        "the value is whole: {words:x?}"
    );
}

fn churn(map: &Map, seed: u64, rounds: u64) {
    let mut state = seed;
    for round in 0..rounds {
        let number = random(&mut state) % 24;
        let outcome = match random(&mut state) % 4 {
            0 => until_free(|guard| map.delete(guard, &key(number))),
            1 => map.write(&key(number), &telling(number, round), ANY),
            2 => map.remove(&key(number)),
            _ => until_free(|guard| map.update(guard, &key(number), &telling(number, round), ANY)),
        };
        let known = matches!(
            outcome,
            Ok(()) | Err(MapError::NotFound | MapError::Full { .. })
        );
        assert!(known, "{outcome:?}");
    }
}

#[test]
fn reads_are_whole_and_iteration_sees_what_stays() {
    const ROUNDS: u64 = 20_000;
    // Fewer entries than keys, so that slots change hands all the time.
    let map = create(&MapSpec::new(MapKind::Hash, 8, 48, 20));
    let staying = [100, 101, 102];
    for number in staying {
        map.write(&key(number), &telling(number, 0), ANY)
            .expect("there is room");
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let map = &map;
        let churning: Vec<_> = (1..THREADS)
            .map(|seed| scope.spawn(move || churn(map, seed, ROUNDS)))
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let mut seen = BTreeMap::<u64, u32>::new();
                for listed in map.keys() {
                    let listed = listed.expect("readable");
                    let number = u64::from_ne_bytes(listed.as_slice().try_into().expect("8 bytes"));
                    if let Some(value) = map.read(&listed).expect("readable") {
                        check_telling(number, &value);
                    }
                    *seen.entry(number).or_default() += 1;
                }
                assert!(
                    staying.iter().all(|number| seen.get(number) == Some(&1)),
                    "{seen:?}"
                );
                assert!(
                    seen.keys()
                        .all(|&number| number < 24 || staying.contains(&number))
                );
            }
        });
        churning
            .into_iter()
            .for_each(|thread| thread.join().expect("no assertion failed"));
        done.store(true, Ordering::Relaxed);
    });
    assert_all_slots_work(&map);
}

/// Deletes everything and fills the map: no slot was lost, none is in use twice, no lock is held.
fn assert_all_slots_work(map: &Map) {
    let keys: Vec<_> = map.keys().collect::<Result<_, _>>().expect("readable");
    assert_eq!(map.stats().entries, Some(keys.len() as u32));
    keys.iter()
        .for_each(|key| map.remove(key).expect("it is there"));
    assert_eq!(map.stats().entries, Some(0));
    let entries = map.spec().max_entries;
    let mut addresses = Vec::new();
    for number in 0..u64::from(entries) {
        let guard = hit();
        map.update(&guard, &key(number), &telling(number, 0), ANY)
            .expect("a free slot");
        addresses.push(
            map.lookup(&guard, &key(number))
                .expect("free")
                .expect("there"),
        );
    }
    let one_more = map.update(&hit(), &key(999), &telling(999, 0), ANY);
    assert_eq!(one_more, Err(MapError::Full { limit: entries }));
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), entries as usize);
}

#[test]
fn of_many_inserts_one_wins() {
    const ROUNDS: u64 = 2_000;
    let map = create(&MapSpec::new(MapKind::Hash, 8, 8, 4));
    let wins = AtomicU64::new(0);
    let barrier = std::sync::Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (map, wins, barrier) = (&map, &wins, &barrier);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    barrier.wait();
                    let flags = UpdateFlags::NoExist;
                    let insert =
                        until_free(|guard| map.update(guard, &key(round), &key64(thread), flags));
                    wins.fetch_add(u64::from(insert.is_ok()), Ordering::Relaxed);
                    barrier.wait();
                    let _ = until_free(|guard| map.delete(guard, &key(round)));
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), ROUNDS);
    assert_eq!(map.stats().entries, Some(0));
}

/// Writes records that carry who wrote them, a number that goes up, and a length-dependent filling.
fn produce(map: &Map, thread: u64, rounds: u64) -> u64 {
    let ring = map.ring().expect("it is a ring buffer");
    let mut state = thread + 1;
    let mut submitted = 0;
    for _ in 0..rounds {
        let filling = random(&mut state) % 30;
        let record = [thread, submitted]
            .into_iter()
            .chain(std::iter::repeat_n(thread ^ submitted, filling as usize));
        let record: Vec<_> = record.flat_map(u64::to_ne_bytes).collect();
        let guard = hit();
        let Ok(reserved) = ring.reserve(&guard, record.len() as u64) else {
            drop(guard);
            thread::yield_now();
            continue;
        };
        store(reserved.ptr, 0, &record);
        match random(&mut state) % 8 {
            0 => ring.discard(&guard, reserved.ptr).expect("reserved"),
            1 => ring.abandon(&guard, reserved.ptr).expect("reserved"),
            _ => {
                ring.submit(&guard, reserved.ptr).expect("reserved");
                submitted += 1;
            }
        }
    }
    submitted
}

/// Checks a record and that it is the next one of its thread.
fn check_record(next: &mut [u64; THREADS as usize], record: &[u8]) {
    let words: Vec<_> = record
        .as_chunks()
        .0
        .iter()
        .copied()
        .map(u64::from_ne_bytes)
        .collect();
    let (thread, number) = (words[0], words[1]);
    assert_eq!(number, next[thread as usize], "in order, and none is lost");
    next[thread as usize] += 1;
    assert!(
        words[2..].iter().all(|word| *word == thread ^ number),
        "the record is whole"
    );
}

#[test]
fn records_are_whole_and_in_order() {
    const ROUNDS: u64 = 10_000;
    let map = create(&MapSpec::ring(4096));
    let ring = map.ring().expect("it is a ring buffer");
    let done = AtomicBool::new(false);
    let mut next = [0; THREADS as usize];
    let submitted: Vec<_> = thread::scope(|scope| {
        let map = &map;
        let producing: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || produce(map, thread, ROUNDS)))
            .collect();
        scope.spawn(|| {
            // Once more after the end, for what came after the last look.
            let mut last = false;
            while !last {
                last = done.load(Ordering::Acquire);
                ring.consume(|record| check_record(&mut next, record))
                    .expect("sound");
            }
        });
        let submitted = producing
            .into_iter()
            .map(|thread| thread.join().expect("no assertion failed"));
        let submitted = submitted.collect();
        done.store(true, Ordering::Release);
        submitted
    });
    assert_eq!(submitted, next);
    assert_eq!(ring.positions().available(), 0);
    let total = submitted.iter().sum::<u64>() + ring.dropped() + ring.abandoned();
    assert!(total <= THREADS * ROUNDS && ring.abandoned() > 0);
}
