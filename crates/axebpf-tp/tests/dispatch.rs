//! What happens in a hit.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axebpf_platform::mock::MOCK;
use axebpf_tp::{
    EnableOptions, Filter, Str, TpError, TraceHandler, TraceHit, TracepointManager, define_event,
    subscribe, trace,
};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: Hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: The caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: As above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

define_event! {
    /// Its handler passes it again.
    event test:nested as Nested {
        depth: u32,
    }
}

define_event! {
    /// Passed with a listener, statistics, recording and a filter.
    event test:loaded as Loaded {
        number: u64,
        name: Str<16>,
        duration_ns: u64,
    } duration = duration_ns
}

define_event! {
    /// Passed while others come and go.
    event test:contended as Contended {
        value: u64,
    }
}

define_event! {
    /// Its handler subscribes, which it must not.
    event test:greedy as Greedy {}
}

fn start() {
    axebpf_hit::install(&MOCK).unwrap();
    axebpf_tp::init().unwrap();
}

/// Passes the event that it handles.
#[derive(Default)]
struct Recurse(AtomicU64);

impl TraceHandler for Recurse {
    fn hit(&self, _hit: &TraceHit<'_>) {
        let depth = self.0.fetch_add(1, Ordering::Relaxed) as u32 + 1;
        trace!(nested { depth });
    }
}

#[test]
fn a_tracepoint_inside_a_handler_is_missed() {
    start();
    let handler = Arc::new(Recurse::default());
    let subscription = subscribe(&nested, handler.clone(), None).unwrap();
    for _ in 0..3 {
        trace!(nested { depth: 0 });
    }
    subscription.cancel().unwrap();
    assert_eq!(handler.0.load(Ordering::Relaxed), 3);
    assert_eq!(nested.missed(), 3);
}

/// Counts.
#[derive(Default)]
struct Count(AtomicU64);

impl TraceHandler for Count {
    fn hit(&self, _hit: &TraceHit<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_hit_allocates_nothing() {
    start();
    let text = "number >= 1 && (name ~ \"vir*[a-z]?\" || name == 'x') && !(number & 0x10)";
    let handler = Arc::new(Count::default());
    let filter = Filter::compile(text, &loaded).unwrap();
    let subscription = subscribe(&loaded, handler.clone(), Some(filter)).unwrap();
    let options = EnableOptions {
        filter: Some(text),
        ..EnableOptions::default()
    };
    TracepointManager::global()
        .enable_with("test:loaded", options)
        .unwrap();
    let pass = || {
        trace!(loaded {
            number: 3,
            name: "virtio0",
            duration_ns: 100
        })
    };
    pass();
    let before = ALLOCATIONS.with(Cell::get);
    for _ in 0..1000 {
        pass();
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    subscription.cancel().unwrap();
    TracepointManager::global().disable("test:loaded").unwrap();
    assert_eq!(handler.0.load(Ordering::Relaxed), 1001);
    assert_eq!(loaded.stats().count, 1001);
    assert_eq!(loaded.stats().durations.mean_ns(), Some(100));
}

/// Is not called any more once its subscription is cancelled.
#[derive(Default)]
struct Guarded {
    cancelled: AtomicBool,
    late: AtomicBool,
}

impl TraceHandler for Guarded {
    fn hit(&self, hit: &TraceHit<'_>) {
        assert!(hit.event.is(&contended));
        if self.cancelled.load(Ordering::SeqCst) {
            self.late.store(true, Ordering::SeqCst);
        }
    }
}

#[test]
fn subscribers_come_and_go_while_others_fire() {
    start();
    let stop = AtomicBool::new(false);
    let fired = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    trace!(contended {
                        value: fired.load(Ordering::Relaxed)
                    });
                    fired.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let churn = || {
            for round in 0..100 {
                let handler = Arc::new(Guarded::default());
                let filter =
                    (round % 2 == 0).then(|| Filter::compile("value != 3", &contended).unwrap());
                let subscription = subscribe(&contended, handler.clone(), filter).unwrap();
                std::thread::yield_now();
                subscription.cancel().unwrap();
                handler.cancelled.store(true, Ordering::SeqCst);
                assert!(!handler.late.load(Ordering::SeqCst));
                // Nobody but this thread holds the handler any more: the list was reclaimed.
                assert_eq!(Arc::strong_count(&handler), 1);
            }
        };
        let churners = [scope.spawn(churn), scope.spawn(churn)];
        for churner in churners {
            churner.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!contended.enabled());
    assert_eq!(contended.missed(), 0);
}

/// Tries to manage tracepoints in a hit.
#[derive(Default)]
struct Manage {
    refused: AtomicU64,
}

impl TraceHandler for Manage {
    fn hit(&self, hit: &TraceHit<'_>) {
        let subscribed = subscribe(hit.event, Arc::new(Count::default()), None);
        let enabled = TracepointManager::global().enable("test:greedy");
        if matches!(subscribed, Err(TpError::InHit)) && matches!(enabled, Err(TpError::InHit)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn managing_inside_a_hit_is_refused() {
    start();
    let handler = Arc::new(Manage::default());
    let subscription = subscribe(&greedy, handler.clone(), None).unwrap();
    trace!(greedy);
    subscription.cancel().unwrap();
    assert_eq!(handler.refused.load(Ordering::Relaxed), 1);
}
