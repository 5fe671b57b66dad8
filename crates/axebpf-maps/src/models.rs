//! Loom models of the two protocols without locks on their reading side: chains, and the ring buffer.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p axebpf-maps --lib --release`.

mod kinds;

use alloc::vec::Vec;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::hash::{FreeList, Hash, Node};
use crate::ring::{DISCARD, RingBuf};
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

/// Runs `work` on another thread.
///
/// Readers run there, and the main thread writes, because loom does not explore the other order: it runs the main
/// thread first, and forgets that this has read an atomic once the other thread has read it too.
fn beside<T: 'static>(map: &Arc<Hash>, work: impl FnOnce(&Hash) -> T + 'static) -> JoinHandle<T> {
    let map = Arc::clone(map);
    thread::spawn(move || work(&map))
}

#[test]
fn a_reader_never_sees_the_value_of_another_key() {
    explore(3, || {
        let map = hash(1);
        insert(&map, 1).expect("there is room");
        let reader = beside(&map, |map| {
            let mut read = [0; 16];
            for number in [1, 2] {
                if let Ok(true) = map.read(&key(number), &mut read) {
                    assert_eq!(read, value(number));
                }
            }
        });
        map.delete(&key(1), Effort::UntilFree).expect("it is there");
        insert(&map, 2).expect("its slot is free");
        reader.join().expect("no assertion failed");
        assert_eq!(map.read(&key(2), &mut [0; 16]), Ok(true));
    });
}

#[test]
fn a_slot_that_changes_hands_between_two_writers_misleads_no_reader() {
    explore(2, || {
        let map = hash(1);
        insert(&map, 1).expect("there is room");
        let reader = beside(&map, |map| {
            let mut read = [0; 16];
            if let Ok(true) = map.read(&key(1), &mut read) {
                assert_eq!(read, value(1));
            }
            let mut listed = [0; 8];
            assert!(!map.key_of(0, &mut listed) || listed == key(1) || listed == key(2));
        });
        let inserter = beside(&map, |map| {
            let _ = insert(map, 2);
        });
        map.delete(&key(1), Effort::UntilFree).expect("it is there");
        reader.join().expect("no assertion failed");
        inserter.join().expect("no assertion failed");
    });
}

#[test]
fn a_reader_sees_whole_updates() {
    explore(3, || {
        let map = hash(1);
        insert(&map, 1).expect("there is room");
        let reader = beside(&map, |map| {
            let mut read = [0; 16];
            if let Ok(found) = map.read(&key(1), &mut read) {
                assert!(found && (read == value(1) || read == value(7)));
            }
        });
        map.update(&key(1), &value(7), UpdateFlags::Exist, 0)
            .expect("it is there");
        reader.join().expect("no assertion failed");
    });
}

#[test]
fn who_finds_a_new_entry_sees_its_value() {
    explore(3, || {
        let map = hash(1);
        let reader = beside(&map, |map| {
            if let Ok(Some(_)) = map.lookup(&key(1), 0) {
                // What an engine loads through the pointer.
                let mut read = [0; 16];
                map.values().read_entry(0, &mut read);
                assert_eq!(read, value(1));
            }
        });
        insert(&map, 1).expect("there is room");
        reader.join().expect("no assertion failed");
    });
}

#[test]
fn a_walk_through_a_freed_node_is_not_believed() {
    explore(3, || {
        let map = hash(2);
        let [stays, goes] = neighbours(&map);
        insert(&map, stays).expect("there is room");
        insert(&map, goes).expect("there is room");
        let reader = beside(&map, move |map| {
            let found = map.lookup(&key(stays), 0);
            assert!(
                matches!(found, Ok(Some(_)) | Err(MapError::Busy)),
                "{found:?}"
            );
        });
        map.delete(&key(goes), Effort::UntilFree)
            .expect("it is there");
        reader.join().expect("no assertion failed");
    });
}

#[test]
fn a_key_that_stays_is_seen_once_by_an_iteration() {
    explore(2, || {
        let map = hash(3);
        let [stays, middle, last, new] = neighbours(&map);
        for number in [stays, middle, last] {
            insert(&map, number).expect("there is room");
        }
        let reader = beside(&map, move |map| {
            let mut listed = [0; 8];
            let seen = (0..3).filter(|&slot| map.key_of(slot, &mut listed) && listed == key(stays));
            assert_eq!(seen.count(), 1);
        });
        map.delete(&key(middle), Effort::UntilFree)
            .expect("it is there");
        insert(&map, new).expect("there is room");
        reader.join().expect("no assertion failed");
    });
}

#[test]
fn a_key_that_is_listed_is_whole() {
    explore(3, || {
        let spec = MapSpec::new(MapKind::Hash, 16, 8, 1);
        let map = Hash::new(&spec, Copies::Shared, 0).expect("the specification is fine");
        let map = Arc::new(map);
        let any = UpdateFlags::Any;
        map.update(&value(1), &key(1), any, 0)
            .expect("there is room");
        let reader = beside(&map, |map| {
            let mut listed = [0; 16];
            assert!(!map.key_of(0, &mut listed) || listed == value(1) || listed == value(2));
        });
        map.delete(&value(1), Effort::UntilFree)
            .expect("it is there");
        map.update(&value(2), &key(2), any, 0)
            .expect("its slot is free");
        reader.join().expect("no assertion failed");
    });
}

#[test]
fn of_two_inserts_one_wins() {
    explore(3, || {
        let map = hash(2);
        let other = beside(&map, |map| insert(map, 1));
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
        let nodes: Vec<_> = (0..2).map(|_| Node::new()).collect();
        let free = FreeList::of_all(&nodes);
        let list = Arc::new((free, nodes));
        let other = {
            let list = Arc::clone(&list);
            thread::spawn(move || list.0.take(&list.1))
        };
        // Takes both, and gives back in the other order: the first is then on top with another node below it.
        let (first, second) = (list.0.take(&list.1), list.0.take(&list.1));
        if let (Some(first), Some(_)) = (first, second) {
            list.0.give(&list.1, first);
        }
        let theirs = other.join().expect("no assertion failed");
        let mine = if second.is_some() { second } else { first };
        let rest = list.0.take(&list.1);
        let mut taken: Vec<_> = [theirs, mine, rest].into_iter().flatten().collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

#[test]
fn records_are_whole_and_none_is_lost() {
    explore(3, || {
        // Room for two records of one word, so that positions wrap.
        let ring = Arc::new(RingBuf::new(32).expect("there is memory"));
        ring.output_unguarded(&key(9)).expect("there is room");
        let consumer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut seen = Vec::new();
                for _ in 0..2 {
                    ring.consume(|record| seen.push(record.to_vec()))
                        .expect("sound");
                }
                seen
            })
        };
        let first = ring.output_unguarded(&key(1));
        let second = ring.output_unguarded(&key(2));
        let mut seen = consumer.join().expect("no assertion failed");
        ring.consume(|record| seen.push(record.to_vec()))
            .expect("sound");
        let submitted = [(9, Ok(())), (1, first), (2, second)].into_iter();
        let expected: Vec<_> = submitted
            .filter(|(_, done)| done.is_ok())
            .map(|(number, _)| key(number))
            .collect();
        assert_eq!(seen, expected);
    });
}

#[test]
fn producers_and_the_consumer_meet() {
    explore(2, || {
        let ring = Arc::new(RingBuf::new(32).expect("there is memory"));
        let beside = |number| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || ring.output_unguarded(&key(number)))
        };
        let producers = [beside(1), beside(2)];
        let record = ring.reserve_unguarded(8);
        let mut seen = Vec::new();
        ring.consume(|record| seen.push(record.to_vec()))
            .expect("sound");
        if let Ok(record) = record {
            ring.finish(record.ptr, DISCARD).expect("it is reserved");
        }
        let done = producers.map(|producer| producer.join().expect("no assertion failed"));
        ring.consume(|record| seen.push(record.to_vec()))
            .expect("sound");
        seen.sort();
        let submitted = [1, 2]
            .into_iter()
            .zip(done)
            .filter(|(_, done)| done.is_ok());
        let expected: Vec<_> = submitted.map(|(number, _)| key(number)).collect();
        assert_eq!(seen, expected);
        let reserved = usize::from(record.is_ok());
        assert!(expected.len() + reserved >= 2, "there is room for two");
    });
}
