//! Several CPUs attach, detach and fire at once.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axebpf::maps::UpdateFlags;
use axebpf::platform::mock::MockPlatform;
use axebpf::tracepoint::{define_event, trace};
use axebpf::{Axebpf, LinkOptions, LoadOptions, Unload};
use support::{ALL, COUNT, KINDS, root};

define_event! {
    /// Something happened.
    event facade:contended as Contended {
        /// What happened.
        value: u64,
        /// Where.
        cpu: u32,
    }
}

define_event! {
    /// Something happened.
    event facade:relayed as Relayed {
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

/// Puts the programs of an object into its array and attaches the first, changes the array under it,
/// and unloads all; nothing may be left.
fn relay(root: &Axebpf<MockPlatform>) {
    let object = root.load("relay", KINDS, &LoadOptions::default()).unwrap();
    let info = root.object(object).unwrap();
    let map = |name: &str| {
        let mut maps = info.maps.iter().map(|id| root.map(*id).unwrap());
        maps.find(|known| known.map.name() == name).unwrap()
    };
    let (targets, per_vm, ours) = (map("targets"), map("per_vm"), map("ours"));
    let vm = 1_u32.to_ne_bytes();
    root.write_inner(per_vm.id, &vm, ours.id, UpdateFlags::Any)
        .unwrap();
    let (first, second) = (info.programs[0], info.programs[1]);
    let weak = [first, second].map(|id| Arc::downgrade(&root.program(id).unwrap().program));
    root.write_program(targets.id, 0, second).unwrap();
    let target = "facade:relayed".parse().unwrap();
    root.attach_to(first, &target, &LinkOptions::default())
        .unwrap();
    for _ in 0..8 {
        root.write_program(targets.id, 0, first).unwrap();
        root.write_program(targets.id, 0, second).unwrap();
        root.write_inner(per_vm.id, &vm, map("theirs").id, UpdateFlags::Any)
            .unwrap();
        root.write_inner(per_vm.id, &vm, ours.id, UpdateFlags::Any)
            .unwrap();
    }
    root.unload(object, Unload::Force).unwrap();
    assert!(weak.iter().all(|program| program.strong_count() == 0));
    assert_eq!(targets.map.stats().entries, Some(0));
}

#[test]
fn arrays_change_and_go_under_running_tail_calls() {
    let root = root();
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for cpu in 0..2 {
            let end = &end;
            scope.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    trace!(relayed { value: 1, cpu });
                }
            });
        }
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                relay(&root);
            }
        });
        std::thread::sleep(duration());
        end.store(true, Ordering::Relaxed);
    });
    assert!(root.maps().unwrap().is_empty());
}
