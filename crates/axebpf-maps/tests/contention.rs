//! What other CPUs get while one is in the middle of an update.
//!
//! A value that does something while it is copied in stops an update where it holds the lock.
#![cfg(not(loom))]

mod support;

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags, ValueSource};
use support::{create, hit, load};

const ANY: UpdateFlags = UpdateFlags::Any;

/// A value of 8 bytes that calls a function, once, when it is read.
struct Interrupting<F: Fn()> {
    called: Cell<bool>,
    call: F,
}

impl<F: Fn()> ValueSource for Interrupting<F> {
    fn byte_len(&self) -> usize {
        8
    }

    fn word(&self, _index: usize) -> u64 {
        if !self.called.replace(true) {
            (self.call)();
        }
        u64::MAX
    }
}

/// Updates `key` and calls `call` while the update holds the lock.
fn update_and(map: &Map, key: &[u8], call: impl Fn()) {
    let value = Interrupting {
        called: Cell::new(false),
        call,
    };
    map.update(&hit(), key, &value, ANY).expect("there is room");
    assert!(value.called.get());
}

fn one_bucket() -> Map {
    create(&MapSpec::new(MapKind::Hash, 4, 8, 1))
}

/// Does `work` as another CPU.
fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().expect("no assertion failed"))
}

#[test]
fn a_hit_gives_up_on_a_held_lock_and_counts_it() {
    let map = one_bucket();
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            let guard = hit();
            let busy = map.update(&guard, &[2; 4], &[0; 8], ANY);
            assert_eq!(busy, Err(MapError::Busy));
            assert_eq!(busy.map_err(|error| error.errno()), Err(-16));
            assert_eq!(map.delete(&guard, &[1; 4]), Err(MapError::Busy));
        });
    });
    assert_eq!(map.stats().busy, 2);
    assert_eq!(map.read(&[1; 4]), Ok(Some(vec![0xff; 8])));
}

#[test]
fn a_lookup_needs_no_lock() {
    let map = one_bucket();
    map.write(&[1; 4], &[7; 8], ANY).expect("there is room");
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            let guard = hit();
            let value = map.lookup(&guard, &[1; 4]).expect("free").expect("there");
            assert_eq!(load(value, 8), [7; 8], "in the middle of the update");
            assert_eq!(map.lookup(&guard, &[2; 4]), Ok(None));
        });
    });
    assert_eq!(map.stats().busy, 0);
}

#[test]
fn an_entry_is_not_there_before_its_value_is() {
    let map = one_bucket();
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            assert_eq!(map.lookup(&hit(), &[1; 4]), Ok(None));
            assert_eq!(map.keys().count(), 0);
            assert_eq!(map.read(&[1; 4]), Ok(None));
        });
    });
}

#[test]
fn the_management_side_waits_for_a_whole_value() {
    let map = one_bucket();
    map.write(&[1; 4], &[7; 8], ANY).expect("there is room");
    thread::scope(|scope| {
        let (started, waiting) = mpsc::channel();
        let reader = Cell::new(None);
        update_and(&map, &[1; 4], || {
            let (map, started) = (&map, started.clone());
            reader.set(Some(scope.spawn(move || {
                started.send(()).expect("the updater listens");
                let value = map.read(&[1; 4]);
                map.write(&[1; 4], &[9; 8], ANY).map(|()| value)
            })));
            waiting.recv().expect("the reader starts");
        });
        let reader = reader
            .take()
            .expect("it was started")
            .join()
            .expect("no assertion failed");
        assert_eq!(reader, Ok(Ok(Some(vec![0xff; 8]))));
    });
    assert_eq!(map.read(&[1; 4]), Ok(Some(vec![9; 8])));
}

#[test]
fn a_list_of_keys_does_not_wait() {
    let map = one_bucket();
    map.write(&[1; 4], &[7; 8], ANY).expect("there is room");
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            assert_eq!(map.next_key(None), Ok(Some(vec![1; 4])));
            assert_eq!(map.next_key(Some(&[1; 4])), Ok(None));
        });
    });
}

#[test]
fn a_reader_in_a_hit_is_refused_instead_of_waiting() {
    let map = one_bucket();
    map.write(&[1; 4], &[7; 8], ANY).expect("there is room");
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            let _guard = hit();
            assert_eq!(map.read(&[1; 4]), Err(MapError::InHit));
        });
    });
}

#[test]
fn a_hit_gives_up_on_a_held_queue_and_counts_it() {
    let map = create(&MapSpec::new(MapKind::Queue, 0, 8, 2));
    let value = Interrupting {
        called: Cell::new(false),
        call: || {
            elsewhere(|| {
                let guard = hit();
                assert_eq!(map.push(&guard, &[0; 8], ANY), Err(MapError::Busy));
                assert_eq!(map.pop(&guard, &mut [0; 8]), Err(MapError::Busy));
                assert_eq!(map.peek(&guard, &mut [0; 8]), Err(MapError::Busy));
            });
        },
    };
    map.push(&hit(), &value, ANY).expect("there is room");
    assert_eq!(map.stats().busy, 3);
    assert_eq!(map.take(&[]), Ok(Some(vec![0xff; 8])));
}

#[test]
fn who_makes_room_passes_over_what_is_held() {
    // One chain, so that all is held while one entry is updated.
    let map = create(&MapSpec::new(MapKind::LruHash, 4, 8, 1));
    map.write(&[1; 4], &[7; 8], ANY).expect("there is room");
    update_and(&map, &[1; 4], || {
        elsewhere(|| {
            let busy = map.update(&hit(), &[2; 4], &[0; 8], ANY);
            assert_eq!(busy, Err(MapError::Busy));
        });
    });
    assert_eq!((map.stats().evicted, map.stats().busy), (0, 1));
    assert_eq!(map.read(&[1; 4]), Ok(Some(vec![0xff; 8])));

    // Among many entries there is another one.
    let map = create(&MapSpec::new(MapKind::LruHash, 4, 8, 64));
    for number in 0..64_u32 {
        map.write(&number.to_ne_bytes(), &[7; 8], ANY)
            .expect("room");
    }
    let held = 0_u32.to_ne_bytes();
    update_and(&map, &held, || {
        elsewhere(|| {
            let mut made_room = 0;
            for number in 64..74_u32 {
                let done = map.update(&hit(), &number.to_ne_bytes(), &[0; 8], ANY);
                made_room += u32::from(done.is_ok());
            }
            assert!(made_room >= 5, "few keys share the chain that is held");
        });
    });
    assert_eq!(map.read(&held), Ok(Some(vec![0xff; 8])));
}
