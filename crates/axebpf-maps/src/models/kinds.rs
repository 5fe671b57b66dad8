//! Loom models of the locks of the kinds that forget, of queues, and of stack traces.

use loom::sync::Arc;
use loom::thread;

use super::{beside, explore, insert, key, value};
use crate::hash::Hash;
use crate::queue::Queue;
use crate::stacks::Stacks;
use crate::storage::Copies;
use crate::sync::Effort;
use crate::{MapError, MapKind, MapSpec, StackFlags, UpdateFlags};

fn forgetful(entries: u32) -> Arc<Hash> {
    let spec = MapSpec::new(MapKind::LruHash, 8, 16, entries);
    Arc::new(Hash::new(&spec, Copies::Shared, 0).expect("the specification is fine"))
}

#[test]
fn a_reader_never_sees_the_value_of_what_took_the_place_of_its_key() {
    explore(3, || {
        let map = forgetful(1);
        insert(&map, 1).expect("there is room");
        let reader = beside(&map, |map| {
            let mut read = [0; 16];
            for number in [1, 2] {
                if let Ok(true) = map.read(&key(number), &mut read) {
                    assert_eq!(read, value(number));
                }
            }
        });
        let done = insert(&map, 2);
        reader.join().expect("no assertion failed");
        assert_eq!(done, Ok(()), "nobody else holds a chain");
        assert_eq!(map.read(&key(1), &mut [0; 16]), Ok(false));
    });
}

#[test]
fn a_key_that_two_make_room_for_is_there_once() {
    explore(3, || {
        let map = forgetful(2);
        insert(&map, 8).expect("there is room");
        insert(&map, 9).expect("there is room");
        let other = beside(&map, |map| insert(map, 1));
        let mine = insert(&map, 1);
        let theirs = other.join().expect("no assertion failed");
        // Both win only if one took the key of the other for what is to be forgotten.
        let wins = [mine, theirs].iter().filter(|done| done.is_ok()).count();
        let busy = [mine, theirs].contains(&Err(MapError::Busy));
        let won = match wins {
            0 => busy,
            1 => true,
            _ => map.evicted() == 2,
        };
        assert!(won, "{mine:?} {theirs:?}");
        let mut listed = [0; 8];
        let ones = (0..2).filter(|&slot| map.key_of(slot, &mut listed) && listed == key(1));
        assert_eq!(ones.count(), usize::from(wins > 0), "there is one of it");
        let listed = (0..2).filter(|&slot| map.key_of(slot, &mut [0; 8])).count();
        assert_eq!(map.len() as usize, listed);
        // No node was lost: so many new keys find room, and no more without forgetting.
        let before = map.evicted();
        for number in 20..22 - u64::from(map.len()) {
            insert(&map, number).expect("there is room");
        }
        assert_eq!(map.evicted(), before);
    });
}

#[test]
fn what_is_deleted_while_it_is_chosen_is_not_given_twice() {
    explore(3, || {
        let map = forgetful(1);
        insert(&map, 1).expect("there is room");
        let other = beside(&map, |map| map.delete(&key(1), Effort::UntilFree));
        let inserted = insert(&map, 2);
        let deleted = other.join().expect("no assertion failed");
        assert!(matches!(deleted, Ok(()) | Err(MapError::NotFound)));
        assert!(matches!(inserted, Ok(()) | Err(MapError::Busy)));
        assert_eq!(map.len(), u32::from(inserted.is_ok()));
        assert_eq!(insert(&map, 3), Ok(()));
        assert_eq!(map.len(), 1);
    });
}

#[test]
fn values_leave_a_queue_whole_and_once() {
    explore(3, || {
        let spec = MapSpec::new(MapKind::Queue, 0, 16, 2);
        let queue = Arc::new(Queue::new(&spec).expect("the specification is fine"));
        let push =
            |queue: &Queue, number| queue.push(&value(number), UpdateFlags::Any, Effort::UntilFree);
        push(&queue, 1).expect("there is room");
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut out = [0; 16];
                let done = queue.pop(&mut out, Effort::UntilFree);
                done.expect("there is one");
                out
            })
        };
        push(&queue, 2).expect("there is room");
        let mut mine = [0; 16];
        let popped = queue.pop(&mut mine, Effort::UntilFree);
        popped.expect("there is one");
        let mut seen = [mine, other.join().expect("no assertion failed")];
        seen.sort_unstable();
        assert_eq!(seen, [value(1), value(2)]);
        assert_eq!(queue.len(), 0);
    });
}

#[test]
fn a_stack_is_found_only_where_it_is() {
    explore(3, || {
        let spec = MapSpec::new(MapKind::StackTrace, 4, 16, 1);
        let stacks = Arc::new(Stacks::new(&spec, 0).expect("the specification is fine"));
        let put = |stacks: &Stacks, frames: [u64; 2], flags| {
            stacks.id_of(&frames, flags, Effort::UntilFree)
        };
        put(&stacks, [1, 2], StackFlags::empty()).expect("the slot is empty");
        let other = {
            let stacks = Arc::clone(&stacks);
            thread::spawn(move || {
                // Half of one and half of the other was never there.
                let mixed = put(&stacks, [3, 2], StackFlags::empty());
                assert_eq!(mixed, Err(MapError::Exists));
                put(&stacks, [1, 2], StackFlags::empty())
            })
        };
        put(&stacks, [3, 4], StackFlags::REUSE_STACKID).expect("it may be replaced");
        let found = other.join().expect("no assertion failed");
        assert!(matches!(found, Ok(0) | Err(MapError::Exists)));
        let mut read = [0; 16];
        assert_eq!(stacks.read(&[0; 4], &mut read), Ok(true));
        assert_eq!(read.as_chunks().0, [3_u64, 4].map(u64::to_ne_bytes));
    });
}
