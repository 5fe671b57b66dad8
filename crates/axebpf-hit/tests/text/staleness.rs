//! No CPU executes what was there before a write returned, and each step of it is needed for that.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::machine::{MACHINE, claim, execute, load, write};

/// Has CPUs execute a word, write it, and execute it again; returns how many of them then execute what was there
/// before.
///
/// The CPU that writes is one of them.
fn stale_cpus() -> usize {
    const OTHERS: usize = 3;
    let executed = Barrier::new(OTHERS + 1);
    let written = Barrier::new(OTHERS + 1);
    let other = || {
        execute(20);
        executed.wait();
        // The threads sleep here, as a CPU does in WFI, and are stopped by the signal alone.
        written.wait();
        usize::from(execute(20) != 7)
    };
    thread::scope(|scope| {
        let others: [_; OTHERS] = std::array::from_fn(|_| scope.spawn(other));
        execute(20);
        executed.wait();
        let result = write(&[(20, 7)]);
        written.wait();
        result.unwrap();
        assert_eq!(load(20), 7);
        let here = usize::from(execute(20) != 7);
        others
            .into_iter()
            .map(|other| other.join().unwrap())
            .sum::<usize>()
            + here
    })
}

#[test]
fn nothing_is_stale_after_a_write() {
    let _claim = claim();
    assert_eq!(stale_cpus(), 0);
}

#[test]
fn each_step_of_the_maintenance_is_needed() {
    // DC CVAU, DSB, IC IVAU, DSB of one line; the ISB at the end is done by the fence, too.
    for left_out in 0..4 {
        let _claim = claim();
        MACHINE.left_out.store(left_out, Ordering::Relaxed);
        assert_ne!(stale_cpus(), 0, "without step {left_out}");
    }
}

#[test]
fn synchronising_the_other_cpus_is_needed() {
    let _claim = claim();
    MACHINE
        .is_context_synchronized
        .store(false, Ordering::Relaxed);
    // The writer has its ISB from the maintenance.
    assert_eq!(stale_cpus(), 3);
}

#[test]
fn words_written_in_one_fence_are_seen_together() {
    let _claim = claim();
    let done = AtomicBool::new(false);
    let torn = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    // Who is stopped between the two executes an old first word and a new second one. The other
                    // way round would mean that the two were written while this CPU was running.
                    let (first, second) = (execute(3), execute(40));
                    if second < first {
                        torn.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for value in 1..200 {
            write(&[(3, value), (40, value)]).unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(torn.load(Ordering::Relaxed), 0);
}
