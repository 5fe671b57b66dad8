//! A hit allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use axebpf_hprobe::native::attach;
use axebpf_hprobe::{LinkOptions, ProbePoint};

use crate::Ignore;
use crate::code::{address, native_sum};
use crate::process::alone;

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
}

#[test]
fn neither_an_entry_nor_a_return_allocates() {
    let _alone = alone();
    let function = address!(native_sum);
    let points = [
        ProbePoint::entry(function, 0).unwrap(),
        ProbePoint::returning(function).unwrap(),
    ];
    let link = attach(&points, Arc::new(Ignore), LinkOptions::default()).unwrap();
    let before = CALLS.get();
    assert_eq!(black_box(native_sum(black_box(3))), 6);
    assert_eq!(CALLS.get(), before);
    assert_eq!((link.hits(), link.missed()), (8, 0));
    drop(black_box(Box::new(1)));
    assert!(CALLS.get() > before, "the counter counts");
}
