//! What Linux promises of the kinds whose values are programs or maps, one promise a test.
#![cfg(not(loom))]

mod support;

use std::sync::Arc;

use axebpf_maps::{Difference, Map, MapError, MapFlags, MapKind, MapSpec, Operation, UpdateFlags};
use support::{counter, create, hit, hit_on, install};

const ANY: UpdateFlags = UpdateFlags::Any;

fn key(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

fn refusal(spec: &MapSpec) -> MapError {
    install();
    Map::create(spec, 2).expect_err("the specification is wrong")
}

fn map_of(kind: MapKind, template: MapSpec) -> Map {
    create(&MapSpec::new(kind, 4, 4, 4).with_inner(template))
}

const BOTH: [MapKind; 2] = [MapKind::ArrayOfMaps, MapKind::HashOfMaps];

#[test]
fn templates_are_checked_with_the_specification() {
    let hash = MapSpec::new(MapKind::Hash, 4, 8, 1);
    for kind in BOTH {
        let spec = MapSpec::new(kind, 4, 4, 4);
        assert_eq!(refusal(&spec), MapError::Template { kind });
        for inner in [MapKind::ArrayOfMaps, MapKind::ProgArray] {
            let nested = spec.clone().with_inner(MapSpec::new(inner, 4, 4, 1));
            assert_eq!(refusal(&nested), MapError::InnerKind { inner });
        }
        let wrong = spec
            .clone()
            .with_inner(MapSpec::new(MapKind::Hash, 0, 8, 1));
        assert!(matches!(refusal(&wrong), MapError::KeySize { size: 0, .. }));
    }
    let kind = MapKind::Hash;
    assert_eq!(
        refusal(&hash.clone().with_inner(hash)),
        MapError::Template { kind }
    );
}

#[test]
fn inner_maps_look_like_the_template() {
    for kind in BOTH {
        let outer = map_of(kind, MapSpec::new(MapKind::Hash, 4, 8, 10));
        let put = |spec: MapSpec| outer.write_inner(&key(1), Arc::new(create(&spec)), ANY);
        let unlike = |difference| MapError::NotLikeTemplate { difference };
        let refused = [
            (MapSpec::new(MapKind::LruHash, 4, 8, 10), Difference::Kind),
            (MapSpec::new(MapKind::Hash, 8, 8, 10), Difference::KeySize),
            (
                MapSpec::new(MapKind::Hash, 4, 16, 10),
                Difference::ValueSize,
            ),
            (
                MapSpec::new(MapKind::Hash, 4, 8, 10).with_flags(MapFlags::NO_PREALLOC),
                Difference::Flags,
            ),
        ];
        for (spec, difference) in refused {
            assert_eq!(put(spec).err(), Some(unlike(difference)));
        }
        assert!(
            put(MapSpec::new(MapKind::Hash, 4, 8, 99)).is_ok(),
            "the size may differ"
        );
        assert_eq!(unlike(Difference::Kind).errno(), -22);
    }
}

#[test]
fn the_size_of_an_inner_array_may_differ_only_if_the_template_says_so() {
    for (flags, differs) in [(MapFlags::empty(), false), (MapFlags::INNER_MAP, true)] {
        let template = MapSpec::new(MapKind::Array, 4, 8, 10).with_flags(flags);
        let outer = map_of(MapKind::ArrayOfMaps, template);
        let other = create(&MapSpec::new(MapKind::Array, 4, 8, 11).with_flags(flags));
        let put = outer.write_inner(&key(0), Arc::new(other), ANY);
        assert_eq!(put.is_ok(), differs);
    }
}

#[test]
fn an_inner_map_lives_as_long_as_the_hit_that_found_it() {
    for kind in BOTH {
        let template = MapSpec::new(MapKind::Array, 4, 8, 1);
        let outer = map_of(kind, template.clone());
        let first = Arc::new(create(&template));
        let weak = Arc::downgrade(&first);
        outer
            .write_inner(&key(1), first, ANY)
            .expect("it is like the template");
        let guard = hit_on(0);
        let found = outer.inner(&guard, &key(1)).expect("free").expect("there");
        assert_eq!(weak.strong_count(), 1, "a hit does not count references");
        let at = found
            .map
            .lookup(&guard, &key(0))
            .expect("free")
            .expect("there");
        std::thread::scope(|scope| {
            let replacing = scope.spawn(|| {
                outer
                    .write_inner(&key(1), Arc::new(create(&template)), ANY)
                    .map(drop)
            });
            // From then on the handle is no longer good, but what it found still is.
            while outer
                .inner_at(&guard, found.slot, found.generation)
                .is_some()
            {
                std::thread::yield_now();
            }
            assert_eq!(weak.strong_count(), 1);
            counter(at).fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(
                outer
                    .inner(&guard, &key(1))
                    .is_ok_and(|inner| inner.is_some())
            );
            drop(guard);
            assert_eq!(replacing.join().expect("no assertion failed"), Ok(()));
        });
        assert_eq!(weak.strong_count(), 0);
    }
}

#[test]
fn slots_are_not_changed_inside_a_hit() {
    let template = MapSpec::new(MapKind::Array, 4, 8, 1);
    let outer = map_of(MapKind::HashOfMaps, template.clone());
    let programs = create(&MapSpec::new(MapKind::ProgArray, 4, 4, 4));
    outer
        .write_inner(&key(1), Arc::new(create(&template)), ANY)
        .expect("there is room");
    let inner = Arc::new(create(&template));
    let guard = hit();
    assert_eq!(
        outer.write_inner(&key(1), inner, ANY).err(),
        Some(MapError::InHit)
    );
    assert_eq!(outer.remove(&key(1)), Err(MapError::InHit));
    assert_eq!(
        programs.write_program(0, Arc::new(1)).err(),
        Some(MapError::InHit)
    );
    assert_eq!(programs.clear_programs(), Err(MapError::InHit));
    assert!(matches!(programs.program(&guard, 0), Ok(None)));
    assert!(
        matches!(outer.inner(&guard, &key(1)), Ok(Some(_))),
        "nothing has changed"
    );
}

#[test]
fn a_program_array_that_is_cleared_keeps_nothing_alive() {
    let programs = create(&MapSpec::new(MapKind::ProgArray, 4, 4, 4));
    let program = Arc::new(7_u64);
    for index in [0, 3] {
        programs
            .write_program(index, Arc::clone(&program) as _)
            .expect("in range");
    }
    let kept = programs.read_program(3).expect("in range").expect("there");
    assert_eq!(kept.downcast_ref(), Some(&7_u64));
    programs.freeze();
    let operation = Operation::Update;
    let frozen = programs.write_program(0, Arc::new(1));
    assert_eq!(frozen.err(), Some(MapError::Forbidden { operation }));
    assert_eq!(Arc::strong_count(&program), 4);
    programs.clear_programs().expect("no hit");
    assert_eq!(Arc::strong_count(&program), 2);
}
