//! Calls come and go without the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use axebpf_hit::enter;
use axebpf_hprobe::{LinkId, MaxActive, ReturnInstance, ReturnTable};
use axebpf_platform::HostVirt;
use axebpf_platform::mock::MOCK;

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

fn calls_during(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls_during(|| drop(black_box(Box::new(1)))), 2);
}

#[test]
fn returns_do_not_allocate() {
    axebpf_hit::install(&MOCK).unwrap();
    let table = ReturnTable::new(256).unwrap();
    let active = MaxActive::new(20);
    let work = || {
        let (mut kept, mut full, mut forgotten) = (0, 0, 0);
        for n in 0..64_u64 {
            let instance = ReturnInstance {
                sp: 0x1000 - n / 20 * 64,
                return_address: n,
                link: LinkId::new(1),
                entry_time_ns: 0,
                entry_data: 0,
            };
            let _below = active.start();
            match table.claim(&enter().unwrap(), instance) {
                Ok(()) => kept += 1,
                Err(_) => full += 1,
            }
        }
        assert!(kept > 0 && full > 0, "both ways: {kept} and {full}");
        assert_eq!(table.in_flight(LinkId::new(1)), kept);
        black_box(table.real_return_address(0x1000, HostVirt::new(0)));
        while table.take(0x1000).is_some() {
            forgotten += 1;
            active.finish();
        }
        let stack = HostVirt::new(0)..HostVirt::new(0x1000);
        forgotten += table.forget_stack(&stack, |_| active.finish());
        assert_eq!(kept, forgotten);
    };
    assert_eq!(calls_during(work), 0);
}
