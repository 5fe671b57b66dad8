//! Stopping CPUs, being stopped, giving up, coming online.

use axebpf_hit::text::{answer, cpu_online};
use axebpf_hit::{FenceError, HitError, enter, quiesce};
use axebpf_platform::CpuId;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::machine::{become_cpu, execute, explore, power_off, power_on, prefetch, write};

/// A tick of the clock so long that a few looks at it are more than the patience of a fence.
const IMPATIENT_NS: u64 = 2_000_000_000;

/// Starts `cpu`, which is online at once, executes text and takes kicks in between, and then goes offline.
fn start(cpu: u32, done: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    power_on(cpu);
    let done = done.clone();
    thread::spawn(move || {
        become_cpu(cpu);
        for _ in 0..2 {
            execute_once(&done);
            answer();
        }
        power_off(cpu);
    })
}

fn execute_once(done: &AtomicBool) {
    let written = done.load(Ordering::Acquire);
    let word = execute();
    assert!(!written || word == 1, "stale text after the write returned");
}

#[test]
fn no_cpu_executes_what_is_being_written_or_was_there_before() {
    explore(5, 0, || {
        power_on(0);
        let done = Arc::new(AtomicBool::new(false));
        let other = start(1, &done);
        assert_eq!(execute(), 0);
        write(1).unwrap();
        assert_eq!(execute(), 1);
        done.store(true, Ordering::Release);
        other.join().unwrap();
    });
}

#[test]
fn a_cpu_that_comes_online_is_not_missed() {
    explore(6, 0, || {
        power_on(0);
        let done = Arc::new(AtomicBool::new(false));
        let other = {
            let done = done.clone();
            thread::spawn(move || {
                become_cpu(1);
                prefetch(0);
                power_on(1);
                cpu_online();
                execute_once(&done);
                answer();
                power_off(1);
            })
        };
        write(1).unwrap();
        done.store(true, Ordering::Release);
        other.join().unwrap();
    });
}

#[test]
fn initiators_answer_each_other() {
    explore(3, 0, || {
        power_on(0);
        power_on(1);
        let other = thread::spawn(|| {
            become_cpu(1);
            execute();
            write(1).unwrap();
            power_off(1);
        });
        execute();
        write(2).unwrap();
        // From here on the other may write without this CPU.
        power_off(0);
        other.join().unwrap();
        power_on(0);
        cpu_online();
        assert!(matches!(execute(), 1 | 2));
    });
}

#[test]
fn a_fence_that_was_given_up_writes_nothing_and_its_answers_count_for_no_other() {
    explore(4, IMPATIENT_NS, || {
        power_on(0);
        power_on(1);
        let other = thread::spawn(|| {
            become_cpu(1);
            for _ in 0..2 {
                execute();
                answer();
            }
            power_off(1);
        });
        let mut expected = 0;
        for word in 1..3 {
            match write(word) {
                Ok(()) => expected = word,
                Err(FenceError::NoAnswer { cpu, .. }) => assert_eq!(cpu, CpuId::new(1)),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(execute(), expected);
        }
        other.join().unwrap();
    });
}

#[test]
fn hits_and_fences_and_quiescence_do_not_wait_for_each_other() {
    explore(3, 0, || {
        power_on(0);
        power_on(1);
        let other = thread::spawn(|| {
            become_cpu(1);
            let guard = enter().unwrap();
            execute();
            assert_eq!(quiesce(), Err(HitError::InHit { cpu: CpuId::new(1) }));
            assert_eq!(write(9), Err(FenceError::InHit { cpu: CpuId::new(1) }));
            drop(guard);
            quiesce().unwrap();
            execute();
            power_off(1);
        });
        write(1).unwrap();
        quiesce().unwrap();
        other.join().unwrap();
    });
}
