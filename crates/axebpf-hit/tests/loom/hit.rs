//! Entering, leaving, publishing, reclaiming.

use axebpf_hit::{Missed, NestedHit, PerCpu, Snapshot, enter, in_hit, quiesce};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::machine::{become_cpu, explore};

/// A value whose freeing while it is read loom sees: freeing writes it.
struct Watched(UnsafeCell<u32>);

impl Watched {
    fn boxed(value: u32) -> Option<Box<Self>> {
        Some(Box::new(Self(UnsafeCell::new(value))))
    }

    fn read(&self) -> u32 {
        // SAFETY: The pointer is valid, and loom checks the rest.
        self.0.with(|value| unsafe { *value })
    }

    fn free(&self) {
        // SAFETY: The pointer is valid, and loom checks the rest.
        self.0.with_mut(|value| unsafe { *value = u32::MAX });
    }
}

// SAFETY: Unsynchronised accesses are what loom is there to find.
unsafe impl Sync for Watched {}

/// Enters a hit as `cpu` and reads what is published.
fn hit(cpu: u32, cell: &Snapshot<Watched>) {
    become_cpu(cpu);
    let guard = enter().unwrap();
    if let Some(value) = cell.load(&guard) {
        assert_ne!(value.read(), u32::MAX);
    }
}

#[test]
fn nothing_is_freed_that_a_hit_reads() {
    explore(6, 0, || {
        let cell = Arc::new(Snapshot::empty());
        cell.publish(Watched::boxed(1)).reclaim().unwrap();
        let hits: Vec<_> = (1..3)
            .map(|cpu| {
                let cell = cell.clone();
                thread::spawn(move || hit(cpu, &cell))
            })
            .collect();

        let old = cell.publish(Watched::boxed(2)).reclaim().unwrap().unwrap();
        old.free();
        drop(old);

        hits.into_iter().for_each(|hit| hit.join().unwrap());
    });
}

#[test]
fn a_dropped_value_is_freed_after_the_hits_that_read_it() {
    struct FreedOnDrop(Watched);

    impl Drop for FreedOnDrop {
        fn drop(&mut self) {
            self.0.free();
        }
    }

    explore(6, 0, || {
        let cell = Arc::new(Snapshot::empty());
        let value = FreedOnDrop(Watched(UnsafeCell::new(1)));
        cell.publish(Some(Box::new(value))).reclaim().unwrap();
        let hits = {
            let cell = cell.clone();
            thread::spawn(move || {
                become_cpu(1);
                for _ in 0..2 {
                    let guard = enter().unwrap();
                    cell.load(&guard).map(|value| value.0.read());
                }
            })
        };
        drop(cell.publish(None));
        hits.join().unwrap();
    });
}

#[test]
fn quiesce_orders_any_memory_that_hits_use() {
    explore(6, 0, || {
        let retired = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let memory = Arc::new(Watched(UnsafeCell::new(0)));
        let hits = {
            let (retired, memory) = (retired.clone(), memory.clone());
            thread::spawn(move || {
                become_cpu(1);
                let _guard = enter().unwrap();
                if !retired.load(loom::sync::atomic::Ordering::Relaxed) {
                    memory.read();
                }
            })
        };
        retired.store(true, loom::sync::atomic::Ordering::Relaxed);
        quiesce().unwrap();
        memory.free();
        hits.join().unwrap();
    });
}

#[test]
fn hits_on_one_cpu_have_its_values_to_themselves() {
    explore(6, 0, || {
        let values = Arc::new(PerCpu::from_fn(|_| UnsafeCell::new(0_u32)));
        let count = |values: &PerCpu<UnsafeCell<u32>>| {
            become_cpu(0);
            match enter() {
                // SAFETY: The pointer is valid, and loom checks the rest.
                Ok(guard) => values.get(&guard).with_mut(|value| unsafe { *value += 1 }),
                Err(missed) => assert_eq!(missed, Missed::Nested),
            }
        };
        // A platform that gives two threads one number.
        let other = {
            let values = values.clone();
            thread::spawn(move || count(&values))
        };
        count(&values);
        other.join().unwrap();
    });
}

#[test]
fn a_hit_in_a_hit_is_missed() {
    explore(3, 0, || {
        become_cpu(0);
        let guard = enter().unwrap();
        assert!(in_hit());
        assert_eq!(enter().unwrap_err(), Missed::Nested);
        drop(guard);
        assert!(!in_hit());
        assert!(enter().is_ok());
    });
}

#[test]
fn nothing_is_freed_that_is_read_above_a_hit() {
    explore(6, 0, || {
        let cell = Arc::new(Snapshot::empty());
        cell.publish(Watched::boxed(1)).reclaim().unwrap();
        let hits = {
            let cell = cell.clone();
            thread::spawn(move || {
                become_cpu(1);
                let guard = enter().unwrap();
                assert_eq!(enter().unwrap_err(), Missed::Nested);
                // SAFETY: The guard is dropped later.
                let nested = unsafe { NestedHit::assume() };
                if let Some(value) = cell.load_nested(&nested) {
                    assert_ne!(value.read(), u32::MAX);
                }
                drop(nested);
                drop(guard);
            })
        };
        let old = cell.publish(Watched::boxed(2)).reclaim().unwrap().unwrap();
        old.free();
        drop(old);
        hits.join().unwrap();
    });
}
