//! A hit allocates nothing, from the tracepoint to the end of the program.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use axebpf::platform::mock::set_mock_vcpu;
use axebpf::tracepoint::{TracepointManager, define_event, trace};
use axebpf::{LinkOptions, LoadOptions};
use support::{ALL, root};

define_event! {
    /// Something happened.
    event facade:counted as Counted {
        /// What happened.
        value: u64,
        /// Where.
        cpu: u32,
    }
}

thread_local! {
    /// The calls of the allocator by this thread, of any kind.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // The counter is gone while the thread ends.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: All calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: The caller keeps what this asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: The caller keeps what this asks for.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: The caller keeps what this asks for.
        unsafe { System.realloc(at, layout, len) }
    }
}

/// Counts the allocator's calls during `work`.
fn calls_during(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

#[test]
fn the_counter_counts() {
    assert!(calls_during(|| drop(std::hint::black_box(Box::new(1)))) >= 2);
}

#[test]
fn a_hit_allocates_nothing() {
    let root = root();
    set_mock_vcpu(1, 0);
    let object = root.load("all", ALL, &LoadOptions::default()).unwrap();
    let program = root.object(object).unwrap().programs[0];
    let options = LinkOptions::default().with_filter("value != 7 && (cpu == 0 || value > 1)");
    let target = "facade:counted".parse().unwrap();
    let link = root.attach_to(program, &target, &options).unwrap();
    // Statistics and the event buffer take part as well.
    TracepointManager::global()
        .enable("facade:counted")
        .unwrap();

    let calls = calls_during(|| {
        for value in 0..1000 {
            trace!(counted { value, cpu: 0 });
        }
    });

    assert_eq!(calls, 0);
    assert_eq!(root.link(link).unwrap().counts.hits, 999);
    assert!(root.next_printk().unwrap().is_some());
    TracepointManager::global()
        .disable("facade:counted")
        .unwrap();
}
