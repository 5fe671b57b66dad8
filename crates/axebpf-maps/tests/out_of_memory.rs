//! A map that there is no memory for is an error, wherever on the way the memory runs out.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};
use support::{create, install};

/// Fails after a number of allocations of the calling thread, and knows what it has in use.
struct Failing;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: Everything is passed on to the system's allocator as it is, or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let left = LEFT.get();
        if left == 0 {
            return core::ptr::null_mut();
        }
        LEFT.set(left.saturating_sub(u32::from(left != u32::MAX)));
        IN_USE.set(IN_USE.get().wrapping_add_unsigned(layout.size()));
        // SAFETY: As promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().wrapping_sub_unsigned(layout.size()));
        // SAFETY: As promised by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Does `work` with memory for so many allocations.
fn with_allocations<T>(allowed: u32, work: impl FnOnce() -> T) -> T {
    LEFT.set(allowed);
    let result = work();
    LEFT.set(u32::MAX);
    result
}

#[test]
fn creation_fails_cleanly_at_each_allocation() {
    install();
    let kinds = [
        MapKind::Array,
        MapKind::PerCpuArray,
        MapKind::Hash,
        MapKind::PerCpuHash,
        MapKind::LruHash,
        MapKind::LruPerCpuHash,
    ];
    let specs = kinds.map(|kind| MapSpec::new(kind, 4, 100, 1000).named("named"));
    let template = MapSpec::new(MapKind::Array, 4, 8, 1);
    let others = [
        MapSpec::ring(1 << 20),
        MapSpec::new(MapKind::Queue, 0, 100, 1000),
        MapSpec::new(MapKind::StackTrace, 4, 64, 1000),
        MapSpec::new(MapKind::PerfEventArray, 4, 4, 0),
        MapSpec::new(MapKind::ProgArray, 4, 4, 100),
        MapSpec::new(MapKind::ArrayOfMaps, 4, 4, 100).with_inner(template.clone()),
        MapSpec::new(MapKind::HashOfMaps, 4, 4, 100).with_inner(template),
        MapSpec::new(MapKind::BloomFilter, 0, 100, 1000),
    ];
    for spec in specs
        .into_iter()
        .chain(others.map(|spec| spec.named("named")))
    {
        let before = IN_USE.get();
        let mut allowed = 0;
        loop {
            match with_allocations(allowed, || Map::create(&spec, 4)) {
                Err(MapError::OutOfMemory { bytes }) => assert!(bytes > 0),
                Err(error) => panic!("{error}"),
                Ok(map) => break drop(map),
            }
            assert_eq!(
                IN_USE.get(),
                before,
                "a failed creation leaves nothing behind"
            );
            allowed += 1;
        }
        assert!(allowed >= 2);
        assert_eq!(IN_USE.get(), before, "a dropped map leaves nothing behind");
    }
}

#[test]
fn readers_report_it_too() {
    let map = create(&MapSpec::new(MapKind::Array, 4, 8, 1));
    map.write(&[0; 4], &[1; 8], UpdateFlags::Any)
        .expect("in range");
    let out_of_memory = |bytes| MapError::OutOfMemory { bytes };
    assert_eq!(
        with_allocations(0, || map.read(&[0; 4])),
        Err(out_of_memory(8))
    );
    assert_eq!(
        with_allocations(0, || map.next_key(None)),
        Err(out_of_memory(4))
    );
    assert_eq!(
        with_allocations(0, || map.keys().next()),
        Some(Err(out_of_memory(4)))
    );

    let map = create(&MapSpec::ring(4096));
    let ring = map.ring().expect("it is a ring buffer");
    ring.output(&support::hit(), &[5; 100])
        .expect("there is room");
    assert_eq!(
        with_allocations(0, || ring.consume(|_| ())),
        Err(out_of_memory(100))
    );
    assert_eq!(
        ring.consume(|record| assert_eq!(record, [5; 100])),
        Ok(1),
        "the record stayed"
    );
}
