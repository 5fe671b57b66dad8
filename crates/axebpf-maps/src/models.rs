//! Loom models of the two protocols without locks on their reading side: chains, and the ring buffer.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p axebpf-maps --lib --release`.

use alloc::vec::Vec;

use loom::sync::Arc;
use loom::thread;

use crate::hash::Hash;
use crate::ring::RingBuf;
use crate::storage::Copies;
use crate::sync::Effort;
use crate::{MapError, MapKind, MapSpec, UpdateFlags};

/// Explores all interleavings with at most this many preemptions.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn hash(entries: u32) -> Arc<Hash> {
    let spec = MapSpec::new(MapKind::Hash, 8, 16, entries);
    Arc::new(Hash::new(&spec, Copies::Shared, 0).expect("the specification is fine"))
}

/// Returns the first `N` keys that share one chain.
fn neighbours<const N: usize>(hash: &Hash) -> [u64; N] {
    let mut numbers = (1..).filter(|&number| hash.share_chain(&key(1), &key(number)));
    core::array::from_fn(|_| numbers.next().expect("there are enough numbers"))
}

fn key(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

/// A value that says which key it is of, twice.
fn value(number: u64) -> [u8; 16] {
    core::array::from_fn(|index| key(number)[index % 8])
}

fn insert(hash: &Hash, number: u64) -> Result<(), MapError> {
    hash.update(&key(number), &value(number), UpdateFlags::NoExist, 0)
}

#[test]
fn a_reader_never_sees_the_value_of_another_key() {
    explore(3, || {
        let map = hash(1);
        insert(&map, 1).expect("there is room");
        let writer = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                map.delete(&key(1), Effort::UntilFree).expect("it is there");
                insert(&map, 2).expect("its slot is free");
            })
        };
        let mut read = [0; 16];
        if let Ok(true) = map.read(&key(1), &mut read) {
            assert_eq!(read, value(1));
        }
        if let Ok(true) = map.read(&key(2), &mut read) {
            assert_eq!(read, value(2));
        }
        writer.join().expect("no assertion failed");
        assert_eq!(map.read(&key(2), &mut read), Ok(true));
    });
}

#[test]
fn a_reader_sees_whole_updates() {
    explore(3, || {
        let map = hash(1);
        insert(&map, 1).expect("there is room");
        let writer = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                map.update(&key(1), &value(7), UpdateFlags::Exist, 0)
                    .expect("it is there");
            })
        };
        let mut read = [0; 16];
        if let Ok(found) = map.read(&key(1), &mut read) {
            assert!(found && (read == value(1) || read == value(7)));
        }
        writer.join().expect("no assertion failed");
    });
}

#[test]
fn a_key_that_stays_is_found_while_its_chain_changes() {
    explore(3, || {
        let map = hash(3);
        let [stays, middle, last, new] = neighbours(&map);
        for number in [stays, middle, last] {
            insert(&map, number).expect("there is room");
        }
        let writer = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                map.delete(&key(middle), Effort::UntilFree)
                    .expect("it is there");
                map.delete(&key(last), Effort::UntilFree)
                    .expect("it is there");
                insert(&map, new).expect("there is room");
            })
        };
        let found = map.lookup(&key(stays), 0);
        assert!(
            matches!(found, Ok(Some(_)) | Err(MapError::Busy)),
            "{found:?}"
        );
        let mut listed = [0; 8];
        let staying = (0..3).filter(|&slot| map.key_of(slot, &mut listed) && listed == key(stays));
        assert_eq!(staying.count(), 1);
        writer.join().expect("no assertion failed");
    });
}

#[test]
fn of_two_inserts_one_wins() {
    explore(3, || {
        let map = hash(2);
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || insert(&map, 1))
        };
        let mine = insert(&map, 1);
        let theirs = other.join().expect("no assertion failed");
        let wins = [mine, theirs]
            .iter()
            .filter(|insert| insert.is_ok())
            .count();
        let busy = [mine, theirs].contains(&Err(MapError::Busy));
        assert!(wins == 1 || (wins == 0 && busy), "{mine:?} {theirs:?}");
        assert_eq!(map.len() as usize, wins);
    });
}

#[test]
fn slots_are_neither_lost_nor_given_twice() {
    explore(3, || {
        let map = hash(2);
        insert(&map, 1).expect("there is room");
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                map.delete(&key(1), Effort::UntilFree).expect("it is there");
                insert(&map, 3)
            })
        };
        let mine = insert(&map, 2);
        let theirs = other.join().expect("no assertion failed");
        assert!(
            !matches!(mine, Err(MapError::Full { .. })),
            "at most two at a time"
        );
        let there = [(2, mine), (3, theirs)]
            .into_iter()
            .filter(|(_, done)| done.is_ok());
        let slots: Vec<_> = there
            .map(|(number, _)| map.slot_after(Some(&key(number))))
            .collect();
        assert!(slots.len() < 2 || slots[0] != slots[1], "{slots:?}");
        for number in 10..12 - slots.len() as u64 {
            insert(&map, number).expect("the rest is free");
        }
        assert!(matches!(insert(&map, 20), Err(MapError::Full { .. })));
    });
}

#[test]
fn records_are_whole_and_none_is_lost() {
    explore(3, || {
        // Room for two records of one word, so that positions wrap.
        let ring = Arc::new(RingBuf::new(32).expect("there is memory"));
        ring.output_unguarded(&key(9)).expect("there is room");
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let first = ring.output_unguarded(&key(1));
                let second = ring.output_unguarded(&key(2));
                [first, second]
                    .iter()
                    .filter(|output| output.is_ok())
                    .count()
            })
        };
        let mut seen = Vec::new();
        for _ in 0..2 {
            ring.consume(|record| seen.push(record.to_vec()))
                .expect("sound");
        }
        let submitted = producer.join().expect("no assertion failed");
        ring.consume(|record| seen.push(record.to_vec()))
            .expect("sound");
        assert_eq!(seen.len(), 1 + submitted);
        let expected = [key(9), key(1), key(2)];
        let mut rest = expected.iter();
        assert!(
            seen.iter()
                .all(|record| rest.any(|expected| record == expected)),
            "{seen:?}"
        );
    });
}

#[test]
fn two_producers_get_different_records() {
    explore(3, || {
        let ring = Arc::new(RingBuf::new(64).expect("there is memory"));
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || ring.output_unguarded(&key(1)))
        };
        let record = ring.reserve_unguarded(8).expect("there is room");
        ring.output_unguarded(&key(2)).expect("there is room");
        ring.finish(record.ptr, crate::ring::DISCARD)
            .expect("it is reserved");
        producer
            .join()
            .expect("no assertion failed")
            .expect("there is room");
        let mut seen = Vec::new();
        ring.consume(|record| seen.push(record.to_vec()))
            .expect("sound");
        seen.sort();
        assert_eq!(seen, [key(1), key(2)]);
    });
}
