//! What Linux promises, and this crate in addition, one promise a test.
#![cfg(not(loom))]

mod support;

use std::sync::atomic::Ordering;

use axebpf_hit::Missed;
use axebpf_maps::{Access, Map, MapError, MapFlags, MapKind, MapSpec, Operation, UpdateFlags};
use axebpf_platform::CpuId;
use axebpf_platform::mock::set_mock_cpu_id;
use support::{CPUS, counter, create, hit, hit_on, load};

const ANY: UpdateFlags = UpdateFlags::Any;

fn key(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

fn value(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

fn map(kind: MapKind, entries: u32) -> Map {
    create(&MapSpec::new(kind, 4, 8, entries))
}

#[test]
fn an_update_shows_through_a_pointer_from_before() {
    for kind in [
        MapKind::Array,
        MapKind::Hash,
        MapKind::PerCpuArray,
        MapKind::PerCpuHash,
        MapKind::LruHash,
        MapKind::LruPerCpuHash,
    ] {
        let map = map(kind, 4);
        map.write(&key(1), &value(1), ANY).expect("there is room");
        let guard = hit();
        let pointer = map.lookup(&guard, &key(1)).expect("free").expect("there");
        map.update(&guard, &key(1), &value(40), ANY).expect("there");
        counter(pointer).fetch_add(2, Ordering::Relaxed);
        assert_eq!(
            map.lookup(&guard, &key(1)),
            Ok(Some(pointer)),
            "the address is stable"
        );
        assert_eq!(load(pointer, 8), value(42));
    }
}

#[test]
fn a_deleted_slot_is_reused() {
    let map = map(MapKind::Hash, 1);
    let guard = hit();
    map.update(&guard, &key(1), &value(1), ANY)
        .expect("there is room");
    let first = map.lookup(&guard, &key(1)).expect("free");
    assert_eq!(
        map.update(&guard, &key(2), &value(2), ANY),
        Err(MapError::Full { limit: 1 })
    );
    map.delete(&guard, &key(1)).expect("there");
    map.update(&guard, &key(2), &value(2), ANY)
        .expect("there is room again");
    assert_eq!(map.lookup(&guard, &key(2)).expect("free"), first);
    assert_eq!(map.lookup(&guard, &key(1)), Ok(None));
}

#[test]
fn a_full_hash_still_takes_updates_of_its_keys() {
    let map = map(MapKind::Hash, 100);
    let guard = hit();
    for number in 0..100 {
        map.update(&guard, &key(number), &value(0), UpdateFlags::NoExist)
            .expect("room");
    }
    let full = MapError::Full { limit: 100 };
    assert_eq!(map.update(&guard, &key(100), &value(0), ANY), Err(full));
    assert_eq!(full.errno(), -7);
    for number in 0..100 {
        map.update(
            &guard,
            &key(number),
            &value(number.into()),
            UpdateFlags::Exist,
        )
        .expect("there");
    }
    drop(guard);
    for number in 0..100 {
        assert_eq!(
            map.read(&key(number)),
            Ok(Some(value(number.into()).to_vec()))
        );
    }
}

#[test]
fn the_other_copies_of_a_new_entry_are_zero() {
    let map = map(MapKind::PerCpuHash, 1);
    map.write(&key(1), &value(u64::MAX), ANY)
        .expect("there is room");
    map.remove(&key(1)).expect("there");
    map.update(&hit_on(1), &key(2), &value(5), ANY)
        .expect("there is room");
    let all = [value(0), value(5), value(0)].concat();
    assert_eq!(
        map.read(&key(2)),
        Ok(Some(all)),
        "nothing of the former key is left"
    );
}

#[test]
fn per_cpu_values_are_read_at_a_stride_of_8() {
    let map = create(&MapSpec::new(MapKind::PerCpuArray, 4, 3, 2));
    for cpu in 0..CPUS {
        map.update(&hit_on(cpu), &key(1), &[cpu as u8 + 1; 3], ANY)
            .expect("in range");
    }
    let expected = [
        1, 1, 1, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0,
    ];
    assert_eq!(map.entry_size(), expected.len());
    assert_eq!(map.read(&key(1)), Ok(Some(expected.to_vec())));
    let guard = hit_on(0);
    let other = map
        .lookup_on(&guard, &key(1), CpuId::new(2))
        .expect("free")
        .expect("there");
    assert_eq!(load(other, 3), [3; 3]);
    let error = MapError::NoSuchCpu {
        cpu: CPUS,
        limit: CPUS,
    };
    assert_eq!(map.lookup_on(&guard, &key(1), CpuId::new(CPUS)), Err(error));
    drop(guard);
    set_mock_cpu_id(CPUS);
    assert_eq!(map.lookup(&hit(), &key(1)), Err(error));
    // With one CPU, an entry still has the stride of a per-CPU map.
    let single = Map::create(&MapSpec::new(MapKind::PerCpuArray, 4, 3, 2), 1).expect("fine");
    assert_eq!(single.entry_size(), 8);
}

#[test]
fn copies_of_different_cpus_share_no_cache_line() {
    for (value_size, entries) in [(1, 1), (8, 3), (24, 5), (64, 1), (100, 7)] {
        let map = create(&MapSpec::new(MapKind::PerCpuArray, 4, value_size, entries));
        let guard = hit_on(0);
        let line = |cpu, index| {
            let found = map.lookup_on(&guard, &key(index), CpuId::new(cpu));
            found.expect("free").expect("in range").addr().get() / 64
        };
        assert!(line(0, entries - 1) < line(1, 0));
        assert!(line(1, entries - 1) < line(2, 0));
    }
}

#[test]
fn arrays_refuse_as_linux_does() {
    for kind in [MapKind::Array, MapKind::PerCpuArray] {
        let map = map(kind, 4);
        let guard = hit_on(0);
        assert_eq!(map.lookup(&guard, &key(4)), Ok(None));
        let outside = MapError::IndexOutOfRange { index: 4, limit: 4 };
        for flags in [ANY, UpdateFlags::NoExist, UpdateFlags::Exist] {
            assert_eq!(map.update(&guard, &key(4), &value(0), flags), Err(outside));
        }
        assert_eq!(outside.errno(), -7);
        let exists = map.update(&guard, &key(3), &value(0), UpdateFlags::NoExist);
        assert_eq!(exists.map_err(|error| error.errno()), Err(-17));
        let deleted = map.delete(&guard, &key(0));
        assert_eq!(
            deleted,
            Err(MapError::Unsupported {
                kind,
                operation: Operation::Delete
            })
        );
        assert_eq!(deleted.map_err(|error| error.errno()), Err(-22));
        drop(guard);
        assert_eq!(map.next_key(Some(&key(3))), Ok(None));
        assert_eq!(map.next_key(Some(&key(4))), Ok(Some(key(0).to_vec())));
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    for kind in [
        MapKind::Array,
        MapKind::Hash,
        MapKind::PerCpuArray,
        MapKind::PerCpuHash,
    ] {
        let map = map(kind, 4);
        let guard = hit();
        let error = MapError::KeyLength {
            len: 5,
            expected: 4,
        };
        assert_eq!(map.lookup(&guard, &[0; 5]), Err(error));
        assert_eq!(map.update(&guard, &[0; 5], &value(0), ANY), Err(error));
        let error = MapError::ValueLength {
            len: 7,
            expected: 8,
        };
        assert_eq!(map.update(&guard, &key(0), &[0; 7], ANY), Err(error));
        drop(guard);
        assert_eq!(
            map.read(&[]),
            Err(MapError::KeyLength {
                len: 0,
                expected: 4
            })
        );
        assert_eq!(
            map.next_key(Some(&[])),
            Err(MapError::KeyLength {
                len: 0,
                expected: 4
            })
        );
        let expected = map.entry_size();
        let error = MapError::ValueLength { len: 9, expected };
        assert_eq!(map.write(&key(0), &[0; 9], ANY), Err(error));
        assert_eq!(map.read_into(&key(0), &mut [0; 9]), Err(error));
    }
}

#[test]
fn hashes_answer_absence_with_enoent() {
    let map = map(MapKind::Hash, 4);
    let guard = hit();
    assert_eq!(map.lookup(&guard, &key(1)), Ok(None));
    assert_eq!(map.delete(&guard, &key(1)), Err(MapError::NotFound));
    let missing = map.update(&guard, &key(1), &value(0), UpdateFlags::Exist);
    assert_eq!(missing.map_err(|error| error.errno()), Err(-2));
    drop(guard);
    assert_eq!(map.read(&key(1)), Ok(None));
    assert_eq!(map.next_key(None), Ok(None));
}

#[test]
fn a_ring_buffer_has_no_keys() {
    let map = create(&MapSpec::ring(4096));
    let guard = hit();
    let refused = map.lookup(&guard, &[]);
    let operation = Operation::Lookup;
    assert_eq!(
        refused,
        Err(MapError::Unsupported {
            kind: MapKind::RingBuf,
            operation
        })
    );
    assert_eq!(refused.map_err(|error| error.errno()), Err(-524));
    assert!(map.update(&guard, &[], &[], ANY).is_err());
    assert!(map.delete(&guard, &[]).is_err());
    drop(guard);
    assert!(map.read(&[]).is_err());
    assert!(map.next_key(None).is_err());
    assert_eq!(map.keys().count(), 0);
}

#[test]
fn sides_keep_to_their_access() {
    let with = |flags| create(&MapSpec::new(MapKind::Hash, 4, 8, 4).with_flags(flags));
    let denied = |operation| Err(MapError::Forbidden { operation });

    let map = with(MapFlags::RDONLY_PROG);
    assert_eq!(map.program_access(), Access::ReadOnly);
    map.write(&key(1), &value(1), ANY)
        .expect("the management side may");
    assert_eq!(
        map.update(&hit(), &key(1), &value(2), ANY),
        denied(Operation::Update)
    );
    assert_eq!(map.delete(&hit(), &key(1)), denied(Operation::Delete));
    assert!(
        map.lookup(&hit(), &key(1))
            .is_ok_and(|value| value.is_some())
    );

    let map = with(MapFlags::WRONLY_PROG);
    assert_eq!(map.program_access(), Access::WriteOnly);
    map.update(&hit(), &key(1), &value(2), ANY)
        .expect("programs may");
    assert_eq!(
        map.lookup(&hit(), &key(1)),
        Err(MapError::Forbidden {
            operation: Operation::Lookup
        })
    );

    let map = with(MapFlags::RDONLY);
    assert_eq!(
        map.write(&key(1), &value(1), ANY),
        denied(Operation::Update)
    );
    assert_eq!(map.remove(&key(1)), denied(Operation::Delete));
    assert_eq!(
        denied(Operation::Delete).map_err(|error: MapError| error.errno()),
        Err::<(), _>(-1)
    );

    let map = with(MapFlags::WRONLY);
    map.write(&key(1), &value(1), ANY)
        .expect("the management side may");
    assert!(map.read(&key(1)).is_err());
    assert!(map.next_key(None).is_err());
    assert_eq!(map.keys().count(), 0);
}

#[test]
fn programs_visit_entries_by_their_own_access() {
    let with = |flags| create(&MapSpec::new(MapKind::Hash, 4, 8, 4).with_flags(flags));
    let hidden = with(MapFlags::WRONLY);
    hidden
        .write(&key(1), &value(1), ANY)
        .expect("the management side may");
    let guard = hit();
    let mut found = key(0);
    let entry = hidden.entry_from(&guard, 0, &mut found).expect("readable");
    let entry = entry.expect("there is one");
    assert_eq!((found, load(entry.value, 8)), (key(1), value(1).to_vec()));
    assert_eq!(
        hidden.entry_from(&guard, entry.slot + 1, &mut found),
        Ok(None)
    );
    assert_eq!(hidden.entry_from(&guard, u32::MAX, &mut found), Ok(None));
    let operation = Operation::Lookup;
    let unreadable = with(MapFlags::WRONLY_PROG).entry_from(&guard, 0, &mut found);
    assert_eq!(unreadable, Err(MapError::Forbidden { operation }));
    let wrong = hidden.entry_from(&guard, 0, &mut [0; 3]);
    assert_eq!(wrong.map_err(|error| error.errno()), Err(-22));
}

#[test]
fn freezing_stops_the_management_side_only() {
    let map = map(MapKind::Array, 1);
    assert!(!map.is_frozen());
    map.freeze();
    assert!(map.is_frozen());
    let operation = Operation::Update;
    assert_eq!(
        map.write(&key(0), &value(1), ANY),
        Err(MapError::Forbidden { operation })
    );
    map.update(&hit(), &key(0), &value(2), ANY)
        .expect("programs still may");
    assert_eq!(map.read(&key(0)), Ok(Some(value(2).to_vec())));
}

#[test]
fn the_management_side_is_refused_in_a_hit() {
    let map = map(MapKind::Hash, 4);
    let guard = hit();
    assert_eq!(map.write(&key(1), &value(1), ANY), Err(MapError::InHit));
    assert_eq!(map.remove(&key(1)), Err(MapError::InHit));
    assert!(matches!(axebpf_hit::enter(), Err(Missed::Nested)));
    drop(guard);
    assert_eq!(map.read(&key(1)), Ok(None), "nothing has changed");
}

#[test]
fn values_of_one_arena_do_not_overlap() {
    let map = create(&MapSpec::new(MapKind::Hash, 4, 20, 50));
    let guard = hit();
    let mut addresses = Vec::new();
    for number in 0..50 {
        map.update(&guard, &key(number), &[number as u8; 20], ANY)
            .expect("there is room");
        let value = map
            .lookup(&guard, &key(number))
            .expect("free")
            .expect("there");
        addresses.push(value.addr().get());
    }
    let arena = map.arena();
    assert_eq!(
        (arena.stride, arena.value_size, arena.base % 64),
        (24, 20, 0)
    );
    addresses.sort_unstable();
    assert!(
        addresses
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= arena.stride)
    );
    assert!(
        addresses
            .iter()
            .all(|&addr| arena.allows(addr, 20) && !arena.allows(addr + 1, 20))
    );
    assert!(!arena.allows(arena.base.wrapping_sub(1), 1));
    assert!(!arena.allows(arena.base + 20, 1), "padding is nobody's");
    assert!(!arena.allows(arena.base + arena.len, 1));
    assert!(!arena.allows(arena.base, usize::MAX));
}
