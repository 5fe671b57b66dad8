//! No operation of a hit allocates, whatever its outcome.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, StackFlags, UpdateFlags};
use axebpf_platform::CpuId;
use support::{create, hit_on};

/// Counts what the calling thread allocates and frees.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: Everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: As promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: As promised by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn assert_silent(work: impl FnOnce()) {
    let before = COUNT.get();
    work();
    assert_eq!(COUNT.get() - before, 0, "a hit allocates and frees nothing");
}

#[test]
fn counting_counts() {
    let before = COUNT.get();
    drop(black_box(Box::new(1)));
    assert_eq!(COUNT.get() - before, 2);
}

#[test]
fn keyed_maps() {
    for kind in [
        MapKind::Array,
        MapKind::PerCpuArray,
        MapKind::Hash,
        MapKind::PerCpuHash,
    ] {
        let map = create(&MapSpec::new(kind, 4, 100, 8));
        // Makes this thread a CPU before the count begins.
        drop(hit_on(1));
        assert_silent(|| every_keyed_operation(&map));
        assert!(map.stats().entries > Some(0));
    }
}

fn every_keyed_operation(map: &Map) {
    let guard = hit_on(1);
    for flags in [UpdateFlags::NoExist, UpdateFlags::Any, UpdateFlags::Exist] {
        for number in 0..12_u32 {
            let key = number.to_ne_bytes();
            let _ = black_box(map.lookup(&guard, &key));
            let _ = black_box(map.lookup_on(&guard, &key, CpuId::new(2)));
            let _ = black_box(map.update(&guard, &key, &[number as u8; 100], flags));
            let _ = black_box(map.lookup(&guard, &key));
            let _ = black_box(map.update(&guard, &key, &[0; 99], flags));
            let _ = black_box(map.lookup(&guard, &key[1..]));
            if number % 2 == 1 {
                let _ = black_box(map.delete(&guard, &key));
            }
            let _ = black_box(map.delete(&guard, &key[1..])).map_err(|error| error.errno());
        }
    }
    let (mut key, mut slot) = ([0; 4], 0);
    while let Ok(Some(entry)) = map.entry_from(&guard, slot, &mut key) {
        slot = entry.slot + 1;
    }
    let _ = black_box((map.arena(), map.program_access(), map.stats()));
}

#[test]
fn ring_buffers() {
    let map = create(&MapSpec::ring(4096));
    drop(hit_on(1));
    assert_silent(|| {
        let guard = hit_on(1);
        let Some(ring) = map.ring() else { return };
        for _ in 0..5 {
            let _ = black_box(ring.output(&guard, &[1; 700]));
            for end in [
                axebpf_maps::RingBuf::submit,
                axebpf_maps::RingBuf::discard,
                axebpf_maps::RingBuf::abandon,
            ] {
                if let Ok(record) = ring.reserve(&guard, 300) {
                    let _ = black_box(end(ring, &guard, record.ptr));
                    let _ = black_box(end(ring, &guard, record.ptr));
                }
            }
            let _ = black_box((ring.reserve(&guard, 5000), ring.positions(), ring.dropped()));
        }
    });
    assert!(map.stats().ring.is_some_and(|ring| ring.dropped > 5));
}

#[test]
fn reading_into_memory_of_the_caller() -> Result<(), MapError> {
    let map = create(&MapSpec::new(MapKind::Hash, 4, 8, 8));
    map.write(&[1; 4], &[2; 8], UpdateFlags::Any)?;
    let (mut key, mut value) = ([0; 4], [0; 8]);
    let mut found = (Ok(false), Ok(false));
    assert_silent(|| {
        found = (
            map.keys().next_into(&mut key),
            map.read_into(&[1; 4], &mut value),
        )
    });
    assert_eq!((found, key, value), ((Ok(true), Ok(true)), [1; 4], [2; 8]));
    Ok(())
}

#[test]
fn queues_and_stacks() {
    for kind in [MapKind::Queue, MapKind::Stack] {
        let map = create(&MapSpec::new(kind, 0, 20, 4));
        drop(hit_on(1));
        assert_silent(|| {
            let guard = hit_on(1);
            let mut out = [0; 20];
            for flags in [UpdateFlags::Any, UpdateFlags::Exist, UpdateFlags::NoExist] {
                for number in 0..6 {
                    let _ = black_box(map.push(&guard, &[number; 20], flags));
                    let _ = black_box(map.push(&guard, &[number; 19], flags));
                    let _ = black_box(map.peek(&guard, &mut out));
                }
            }
            for _ in 0..6 {
                let _ = black_box(map.pop(&guard, &mut out)).map_err(|error| error.errno());
            }
        });
    }
}

#[test]
fn maps_that_forget() {
    for kind in [MapKind::LruHash, MapKind::LruPerCpuHash] {
        let map = create(&MapSpec::new(kind, 4, 100, 4));
        drop(hit_on(1));
        assert_silent(|| every_keyed_operation(&map));
        assert!(map.stats().evicted > 0);
    }
}

#[test]
fn perf_event_arrays() {
    let map = create(&MapSpec::new(MapKind::PerfEventArray, 4, 4, 0));
    drop(hit_on(1));
    assert_silent(|| {
        let guard = hit_on(1);
        let Some(buffers) = map.perf() else { return };
        for flags in [0, 1, 2, 3, 1 << 32, 0xffff_ffff] {
            for _ in 0..20 {
                let _ = black_box(buffers.output(&guard, flags, &[1; 4000]));
            }
        }
        let _ = black_box((map.stats(), map.arena()));
    });
    assert!(map.stats().lost > 0);
}

#[test]
fn programs_and_inner_maps() -> Result<(), MapError> {
    let programs = create(&MapSpec::new(MapKind::ProgArray, 4, 4, 4));
    programs.write_program(1, Arc::new(5_u32))?;
    let template = MapSpec::new(MapKind::Array, 4, 8, 1);
    let spec = MapSpec::new(MapKind::HashOfMaps, 4, 4, 4).with_inner(template.clone());
    let outer = create(&spec);
    outer.write_inner(&[1; 4], Arc::new(create(&template)), UpdateFlags::Any)?;
    drop(hit_on(1));
    let mut found = 0;
    assert_silent(|| {
        let guard = hit_on(1);
        for index in 0..6 {
            found += u32::from(matches!(programs.program(&guard, index), Ok(Some(_))));
            if let Ok(Some(inner)) = outer.inner(&guard, &[index as u8; 4]) {
                found += 1;
                let _ = black_box(outer.inner_at(&guard, inner.slot, inner.generation));
                let _ = black_box(inner.map.update(&guard, &[0; 4], &[1; 8], UpdateFlags::Any));
            }
        }
    });
    assert_eq!(found, 2);
    Ok(())
}

#[test]
fn stacks_and_bloom_filters() {
    let stacks = create(&MapSpec::new(MapKind::StackTrace, 4, 64, 4));
    let bloom = create(&MapSpec::new(MapKind::BloomFilter, 0, 12, 100));
    drop(hit_on(1));
    assert_silent(|| {
        let guard = hit_on(1);
        for number in 0..30 {
            let frames = [number; 20];
            for flags in [
                StackFlags::empty(),
                StackFlags::REUSE_STACKID,
                StackFlags::all(),
            ] {
                let _ = black_box(stacks.stack_id(&guard, &frames, flags));
            }
            let _ = black_box(bloom.push(&guard, &[number as u8; 12], UpdateFlags::Any));
            let _ = black_box(bloom.contains(&guard, &[number as u8; 12]));
        }
    });
    assert_eq!(stacks.stats().entries, Some(4));
}
