//! Several CPUs attach, detach and fire at once.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axebpf::tracepoint::{define_event, trace};
use axebpf::{LinkOptions, LoadOptions, Unload};
use support::{ALL, COUNT, root};

define_event! {
    /// Something happened.
    event facade:contended as Contended {
        /// What happened.
        value: u64,
        /// Where.
        cpu: u32,
    }
}

/// How long the test goes on: `AXEBPF_SOAK_SECONDS`, or half a second.
fn duration() -> Duration {
    let seconds = std::env::var("AXEBPF_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    seconds.map_or(Duration::from_millis(500), Duration::from_secs)
}

#[test]
fn cpus_attach_detach_and_fire_at_once() {
    let root = root();
    let end = AtomicBool::new(false);
    let fired = AtomicU64::new(0);
    let counted = AtomicU64::new(0);
    let target = "facade:contended".parse().unwrap();
    std::thread::scope(|scope| {
        for cpu in 0..2 {
            let (end, fired) = (&end, &fired);
            scope.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    let value = fired.fetch_add(1, Ordering::Relaxed) % 64;
                    trace!(contended { value, cpu });
                }
            });
        }
        for elf in [COUNT, ALL] {
            let (root, end, counted, target) = (&root, &end, &counted, &target);
            scope.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    let object = root.load("pings", elf, &LoadOptions::default()).unwrap();
                    let program = root.object(object).unwrap().programs[0];
                    let options = LinkOptions::default().with_filter("value >= 32");
                    let link = root.attach_to(program, target, &options).unwrap();
                    std::thread::yield_now();
                    let counts = root.detach(link).unwrap();
                    assert_eq!(counts.errors, 0);
                    counted.fetch_add(counts.hits, Ordering::Relaxed);
                    root.unload(object, Unload::IfUnused).unwrap();
                    while root.next_printk().unwrap().is_some() {}
                }
            });
        }
        // The clock of the machine, not a limit that anything is measured against.
        let start = Instant::now();
        while start.elapsed() < duration() {
            std::thread::sleep(Duration::from_millis(10));
        }
        end.store(true, Ordering::Relaxed);
    });
    assert!(fired.load(Ordering::Relaxed) > 0);
    assert!(root.objects().unwrap().is_empty());
    assert!(root.maps().unwrap().is_empty());
    assert!(!contended.enabled());
}
