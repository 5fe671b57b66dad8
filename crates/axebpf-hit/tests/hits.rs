//! Hits on the host: nesting, interrupts, publishing and reclaiming, with real threads.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;

use axebpf_hit::{
    HitError, HitGuard, MAX_CPUS, Missed, Padded, PerCpu, Snapshot, enter, in_hit, install,
    platform, quiesce,
};
use axebpf_platform::host::HOST;
use axebpf_platform::mock::{MOCK, set_mock_cpu_id};
use axebpf_platform::{Cpus, InterruptState, Interrupts};

/// Tells whether the interrupts of this thread are masked.
fn is_masked() -> bool {
    let before = MOCK.mask();
    MOCK.restore(before);
    before != InterruptState(0)
}

#[test]
fn only_one_platform_can_be_installed() {
    install(&MOCK).unwrap();
    install(&MOCK).unwrap();
    assert_eq!(install(&HOST), Err(HitError::OtherPlatform));
    assert!(platform().is_some());
}

#[test]
fn a_hit_masks_interrupts_and_names_its_cpu() {
    install(&MOCK).unwrap();
    set_mock_cpu_id(17);
    assert!(!in_hit());
    assert!(!is_masked());
    let guard = enter().unwrap();
    assert_eq!(guard.cpu(), MOCK.current_cpu());
    assert_eq!(guard.cpu().get(), 17);
    assert!(in_hit());
    assert!(is_masked());
    drop(guard);
    assert!(!in_hit());
    assert!(!is_masked());
}

#[test]
fn a_hit_in_a_hit_is_missed_and_leaves_interrupts_alone() {
    install(&MOCK).unwrap();
    let outer = MOCK.mask();
    let guard = enter().unwrap();
    assert_eq!(enter().unwrap_err(), Missed::Nested);
    assert!(is_masked());
    drop(guard);
    assert!(is_masked());
    MOCK.restore(outer);
    assert!(!is_masked());
    assert!(enter().is_ok());
}

#[test]
fn a_hit_that_unwinds_is_left() {
    install(&MOCK).unwrap();
    let result = std::panic::catch_unwind(|| {
        let _guard = enter().unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(result.is_err());
    assert!(!in_hit());
    assert!(!is_masked());
}

#[test]
fn waiting_inside_a_hit_is_an_error_and_frees_nothing() {
    struct CountsDrops<'a>(&'a AtomicU32);

    impl Drop for CountsDrops<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    install(&MOCK).unwrap();
    let drops = AtomicU32::new(0);
    let cell = Snapshot::empty();
    drop(cell.publish(Some(Box::new(CountsDrops(&drops)))));

    let guard = enter().unwrap();
    let cpu = guard.cpu();
    assert_eq!(quiesce(), Err(HitError::InHit { cpu }));
    let retired = cell.publish(Some(Box::new(CountsDrops(&drops))));
    assert!(retired.is_some());
    assert_eq!(retired.reclaim().err(), Some(HitError::InHit { cpu }));
    drop(cell.publish(Some(Box::new(CountsDrops(&drops)))));
    drop(guard);
    // Both were leaked.
    assert_eq!(drops.load(Ordering::Relaxed), 0);

    drop(cell.publish(Some(Box::new(CountsDrops(&drops)))));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(cell);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[test]
fn each_cpu_has_its_own_value() {
    install(&MOCK).unwrap();
    let counts = PerCpu::from_fn(|cpu| AtomicU32::new(cpu.get()));
    assert_eq!(counts.iter().count(), MAX_CPUS);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let guard = enter().unwrap();
                counts.get(&guard).fetch_add(100, Ordering::Relaxed);
            });
        }
    });
    let total: u32 = counts
        .iter()
        .map(|(cpu, count)| count.load(Ordering::Relaxed) - cpu.get())
        .sum();
    assert_eq!(total, 400);
    let lines: Vec<_> = counts
        .iter()
        .map(|(_, count)| std::ptr::from_ref(count) as usize / 128)
        .collect();
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(size_of::<Padded<u8>>() >= 128);
}

/// How many values the race below publishes.
const VALUES: usize = 200;

/// Whether each value has been freed.
static FREED: [AtomicBool; VALUES] = [const { AtomicBool::new(false) }; VALUES];

struct Value(usize);

impl Drop for Value {
    fn drop(&mut self) {
        FREED[self.0].store(true, Ordering::SeqCst);
    }
}

/// Sets the flag when the test has ended, well or not.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

static CELL: Snapshot<Value> = Snapshot::empty();

/// Reads the value, dawdles, and returns whether it was freed meanwhile.
fn is_freed_during(guard: &HitGuard) -> bool {
    let Some(value) = CELL.load(guard) else {
        return false;
    };
    let index = value.0;
    for _ in 0..50 {
        std::hint::spin_loop();
    }
    FREED[index].load(Ordering::SeqCst)
}

#[test]
fn nothing_is_freed_while_hits_on_many_cpus_read_it() {
    install(&MOCK).unwrap();
    let done = AtomicBool::new(false);
    let hits = AtomicUsize::new(0);
    thread::scope(|scope| {
        let _ends_the_hits = SetOnDrop(&done);
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let guard = enter().unwrap();
                    assert!(!is_freed_during(&guard));
                    drop(guard);
                    hits.fetch_add(1, Ordering::Relaxed);
                    // The host takes a thread off its CPU here rather than in the hit.
                    thread::yield_now();
                }
            });
        }
        for index in 0..VALUES {
            // Lets the hits come in between now and then, however busy the machine is.
            let seen = hits.load(Ordering::Relaxed);
            while index % 50 == 0 && hits.load(Ordering::Relaxed) == seen {
                thread::yield_now();
            }
            let old = CELL
                .publish(Some(Box::new(Value(index))))
                .reclaim()
                .unwrap();
            assert_eq!(old.map(|value| value.0), index.checked_sub(1));
        }
        CELL.publish(None).reclaim().unwrap();
    });
    assert!(FREED.iter().all(|freed| freed.load(Ordering::SeqCst)));
    assert_ne!(hits.load(Ordering::Relaxed), 0);
}
