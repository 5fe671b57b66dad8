//! No operation of a hit allocates, whatever its outcome.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};
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
