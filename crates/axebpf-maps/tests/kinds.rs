//! What Linux promises of the kinds that are neither plain tables nor ring buffers, one promise a test.
#![cfg(not(loom))]

mod support;

use axebpf_maps::{
    Arena, Map, MapError, MapFlags, MapKind, MapSpec, Operation, StackFlags, UpdateFlags,
};
use support::{create, hit, hit_on, install};

const ANY: UpdateFlags = UpdateFlags::Any;

fn key(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

fn value(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

fn refusal(spec: &MapSpec) -> MapError {
    install();
    Map::create(spec, 2).expect_err("the specification is wrong")
}

#[test]
fn programs_cannot_point_to_what_they_get_copies_of() {
    let template = MapSpec::new(MapKind::Array, 4, 8, 1);
    for spec in [
        MapSpec::new(MapKind::Queue, 0, 8, 4),
        MapSpec::new(MapKind::StackTrace, 4, 8, 4),
        MapSpec::new(MapKind::ProgArray, 4, 4, 4),
        MapSpec::new(MapKind::PerfEventArray, 4, 4, 4),
        MapSpec::new(MapKind::BloomFilter, 0, 8, 4),
        MapSpec::new(MapKind::ArrayOfMaps, 4, 4, 4).with_inner(template),
    ] {
        let map = create(&spec);
        let Arena { base, len, .. } = map.arena();
        assert_eq!((base, len), (0, 0));
        assert!(!map.arena().allows(0, 0) && !map.arena().allows(0x1000, 1));
        let refused = map.lookup(&hit(), &vec![0; spec.key_size as usize]);
        let (kind, operation) = (spec.kind, Operation::Lookup);
        assert_eq!(refused, Err(MapError::Unsupported { kind, operation }));
        assert!(map.memory() > 0);
    }
}

#[test]
fn errors_have_the_numbers_of_linux() {
    let errno = |kind, operation| MapError::Unsupported { kind, operation }.errno();
    assert_eq!(errno(MapKind::Queue, Operation::Update), -22);
    assert_eq!(errno(MapKind::Hash, Operation::Push), -95);
    assert_eq!(errno(MapKind::BloomFilter, Operation::Pop), -95);
    assert_eq!(errno(MapKind::BloomFilter, Operation::Lookup), -22);
    assert_eq!(errno(MapKind::StackTrace, Operation::Lookup), -95);
    assert_eq!(errno(MapKind::StackTrace, Operation::Update), -22);
    let (kind, flags) = (MapKind::Queue, UpdateFlags::NoExist);
    assert_eq!(MapError::WrongUpdateFlags { kind, flags }.errno(), -22);
    assert_eq!(MapError::OtherCpu { cpu: 1, current: 0 }.errno(), -95);
}

#[test]
fn what_was_used_lately_is_not_forgotten() {
    for kind in [MapKind::LruHash, MapKind::LruPerCpuHash] {
        let map = create(&MapSpec::new(kind, 4, 8, 32));
        let used = [3, 7, 31];
        for number in 0..1000 {
            let guard = hit_on(0);
            map.update(&guard, &key(number), &value(1), ANY)
                .expect("there is always room");
            for number in used.into_iter().filter(|&used| used <= number) {
                assert!(
                    map.lookup(&guard, &key(number))
                        .is_ok_and(|found| found.is_some())
                );
            }
        }
        assert_eq!(map.stats().evicted, 1000 - 32);
        assert!(
            map.read(&key(999)).is_ok_and(|entry| entry.is_some()),
            "the last one is there"
        );
    }
}

#[test]
fn the_management_side_does_not_count_as_use() {
    let map = create(&MapSpec::new(MapKind::LruHash, 4, 8, 4));
    for number in 0..8 {
        map.write(&key(number), &value(1), ANY)
            .expect("there is always room");
        // As a dump of all entries does it.
        for listed in map.keys().map(|listed| listed.expect("readable")) {
            assert!(map.read(&listed).is_ok_and(|entry| entry.is_some()));
        }
    }
    for number in 0..4 {
        assert_eq!(
            map.read(&key(number)),
            Ok(None),
            "in the order in which they came"
        );
    }
}

#[test]
fn conditions_of_an_update_are_checked_before_anything_is_forgotten() {
    let map = create(&MapSpec::new(MapKind::LruHash, 4, 8, 1));
    map.write(&key(1), &value(1), ANY).expect("there is room");
    let guard = hit();
    let missing = map.update(&guard, &key(2), &value(2), UpdateFlags::Exist);
    assert_eq!(missing, Err(MapError::NotFound));
    let there = map.update(&guard, &key(1), &value(2), UpdateFlags::NoExist);
    assert_eq!(there, Err(MapError::Exists));
    assert_eq!(map.stats().evicted, 0);
    assert_eq!(
        map.update(&guard, &key(2), &value(2), UpdateFlags::NoExist),
        Ok(())
    );
    assert_eq!(map.stats().evicted, 1);
}

#[test]
fn stacks_that_collide_are_refused_or_replaced() {
    // All stacks share the one slot.
    let map = create(&MapSpec::new(MapKind::StackTrace, 4, 32, 1));
    let guard = hit();
    assert_eq!(map.stack_id(&guard, &[1, 2, 3], StackFlags::empty()), Ok(0));
    assert_eq!(map.stack_id(&guard, &[1, 2, 3], StackFlags::empty()), Ok(0));
    for flags in [StackFlags::empty(), StackFlags::FAST_STACK_CMP] {
        let collides = map.stack_id(&guard, &[4], flags);
        assert_eq!(collides.map_err(|error| error.errno()), Err(-17));
        // A prefix of it is another stack.
        assert_eq!(map.stack_id(&guard, &[1, 2], flags), Err(MapError::Exists));
    }
    assert_eq!(
        map.stack_id(&guard, &[9; 40], StackFlags::REUSE_STACKID),
        Ok(0)
    );
    drop(guard);
    let cut_off = value(9).repeat(4);
    assert_eq!(map.read(&key(0)), Ok(Some(cut_off)));
    assert_eq!(
        map.write(&key(0), &[0; 32], ANY)
            .map_err(|error| error.errno()),
        Err(-22)
    );
    assert_eq!(map.remove(&key(0)), Ok(()));
    assert_eq!(map.remove(&key(0)), Err(MapError::NotFound));
    assert_eq!(map.read(&key(1)), Ok(None));
}

#[test]
fn sizes_of_stacks_are_whole_frames() {
    let sized = |size| refusal(&MapSpec::new(MapKind::StackTrace, 4, size, 1));
    assert_eq!(sized(12), MapError::StackSize { size: 12, frame: 8 });
    assert!(matches!(
        sized(128 * 8),
        MapError::ValueSize { max: 1016, .. }
    ));
    assert!(matches!(sized(4), MapError::ValueSize { min: 8, .. }));
    create(&MapSpec::new(MapKind::StackTrace, 4, 127 * 8, 1));
    let spec = MapSpec::new(MapKind::StackTrace, 4, 8, i32::MAX as u32);
    assert!(matches!(refusal(&spec), MapError::TooLarge { .. }));
}

#[test]
fn queues_keep_to_their_access() {
    let with = |flags| create(&MapSpec::new(MapKind::Queue, 0, 8, 4).with_flags(flags));
    let denied = |operation| Err(MapError::Forbidden { operation });
    let map = with(MapFlags::RDONLY_PROG);
    assert_eq!(map.push(&hit(), &value(1), ANY), denied(Operation::Push));
    assert_eq!(map.pop(&hit(), &mut value(0)), denied(Operation::Pop));
    assert_eq!(map.peek(&hit(), &mut value(0)), Err(MapError::NotFound));
    let map = with(MapFlags::WRONLY_PROG);
    assert_eq!(map.push(&hit(), &value(1), ANY), Ok(()));
    assert_eq!(map.peek(&hit(), &mut value(0)), denied(Operation::Lookup));
    let map = with(MapFlags::RDONLY);
    assert_eq!(map.take(&[]).map(drop), denied(Operation::Pop));
    let map = with(MapFlags::empty());
    assert_eq!(
        map.write(&[0], &value(1), ANY)
            .map_err(|error| error.errno()),
        Err(-22)
    );
    map.freeze();
    assert_eq!(map.write(&[], &value(1), ANY), denied(Operation::Update));
}

#[test]
fn bloom_filters_are_wrong_as_rarely_as_promised() {
    let map = create(&MapSpec::new(MapKind::BloomFilter, 0, 8, 1000));
    for number in 0..1000 {
        map.push(&hit(), &value(number), ANY)
            .expect("it always takes members");
    }
    let guard = hit();
    assert!((0..1000).all(|number| map.contains(&guard, &value(number)) == Ok(true)));
    let wrong = (1000..11_000).filter(|&number| map.contains(&guard, &value(number)) == Ok(true));
    let wrong = wrong.count();
    assert!(wrong < 500, "{wrong} of 10000 are taken for members");
    let kind = MapKind::BloomFilter;
    let spec = MapSpec::new(kind, 0, 8, 1000).with_extra(16);
    assert_eq!(refusal(&spec), MapError::UnknownExtra { kind, extra: 16 });
}
