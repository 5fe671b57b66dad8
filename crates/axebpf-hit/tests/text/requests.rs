//! Who may write what when, who is waited for, and what a failure leaves behind.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axebpf_hit::text::{TextWrite, answer, write_fenced};
use axebpf_hit::{FenceError, HitError, enter, quiesce};
use axebpf_platform::{Cpus, HostVirt, Interrupts, TextError};

use crate::caches::{WORDS, address};
use crate::machine::{MACHINE, claim, execute, load, write};

#[test]
fn a_cpu_that_does_not_stop_ends_the_attempt_and_nothing_is_written() {
    let _claim = claim();
    MACHINE.clock_rate.store(100, Ordering::Relaxed);
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let interrupts = MACHINE.mask();
            tell.send(MACHINE.current_cpu()).unwrap();
            // Until the writer has given up, or failed.
            let _ = released.recv();
            MACHINE.restore(interrupts);
            // The late answer must not stop this thread, nor count for what comes.
            assert_eq!(execute(5), 0);
            tell.send(MACHINE.current_cpu()).unwrap();
            let _ = released.recv();
        });
        // A third CPU that does answer goes on as if nothing had happened.
        let bystander = scope.spawn(|| {
            MACHINE.current_cpu();
            thread::sleep(Duration::from_millis(1));
        });
        let deaf = told.recv().unwrap();
        match write(&[(5, 1)]) {
            Err(FenceError::NoAnswer { cpu, waited_ms }) => {
                assert_eq!(cpu, deaf);
                assert!(waited_ms >= 5_000, "{waited_ms}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(load(5), 0);
        bystander.join().unwrap();
        release.send(()).unwrap();
        told.recv().unwrap();
        write(&[(5, 2)]).unwrap();
        assert_eq!(load(5), 2);
        drop(release);
    });
}

#[test]
fn initiators_and_waiters_with_interrupts_masked_do_not_block_each_other() {
    let _claim = claim();
    let writers_left = AtomicU32::new(3);
    thread::scope(|scope| {
        for writer in 0..3 {
            let writers_left = &writers_left;
            scope.spawn(move || {
                let interrupts = MACHINE.mask();
                for value in 1..=100 {
                    write(&[(writer, value)]).unwrap();
                    assert_eq!(execute(writer), value);
                    quiesce().unwrap();
                }
                MACHINE.restore(interrupts);
                writers_left.fetch_sub(1, Ordering::Release);
            });
        }
        scope.spawn(|| {
            let interrupts = MACHINE.mask();
            while writers_left.load(Ordering::Acquire) != 0 {
                answer();
            }
            MACHINE.restore(interrupts);
        });
    });
    assert_eq!([load(0), load(1), load(2)], [100; 3]);
}

#[test]
fn cpus_come_and_go_during_fences() {
    let _claim = claim();
    let done = AtomicBool::new(false);
    let latest = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    // A thread is a CPU from its first question until its end.
                    let newcomer = thread::spawn(|| {
                        MACHINE.current_cpu();
                    });
                    newcomer.join().unwrap();
                    let before = latest.load(Ordering::Acquire);
                    assert!(execute(9) >= before);
                }
            });
        }
        for value in 1..300 {
            write(&[(9, value)]).unwrap();
            latest.store(value, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_hit_cannot_wait_for_other_cpus() {
    let _claim = claim();
    let guard = enter().unwrap();
    let cpu = guard.cpu();
    assert_eq!(write(&[(1, 1)]), Err(FenceError::InHit { cpu }));
    assert_eq!(quiesce(), Err(HitError::InHit { cpu }));
    drop(guard);
    assert_eq!(load(1), 0);
    write(&[(1, 1)]).unwrap();
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is() {
    let _claim = claim();
    let at = address(WORDS);
    let cause = TextError::NotText { at, len: 4 };
    assert_eq!(
        write(&[(1, 1), (WORDS, 1)]),
        Err(FenceError::Text { cause })
    );
    assert_eq!(load(1), 0);

    let at = HostVirt::new(u64::MAX - 1);
    let write = TextWrite { at, bytes: &[0; 4] };
    // SAFETY: Nothing executes this text.
    let result = unsafe { write_fenced(&[write]) };
    assert_eq!(result, Err(FenceError::OutOfRange { at, len: 4 }));
}

#[test]
fn a_failed_write_takes_back_those_before_it() {
    let _claim = claim();
    let cause = TextError::Unsupported;
    write(&[(1, 10), (2, 20), (3, 30)]).unwrap();
    for failing in 0..4 {
        MACHINE.fail(failing..failing + 1);
        // Two of the writes go to one place, which gets back what was there before both.
        let result = write(&[(1, 11), (2, 21), (1, 12), (3, 31)]);
        assert_eq!(result, Err(FenceError::Text { cause }));
        assert_eq!([1, 2, 3].map(load), [10, 20, 30]);
        assert_eq!([1, 2, 3].map(execute), [10, 20, 30]);
    }
}

#[test]
fn what_cannot_be_taken_back_is_reported() {
    let _claim = claim();
    // The second write fails, and so does the one that is to take back the first.
    MACHINE.fail(1..3);
    let (at, cause) = (address(1), TextError::Unsupported);
    let result = write(&[(1, 11), (2, 21)]);
    assert_eq!(result, Err(FenceError::NotRolledBack { at, cause }));
    assert_eq!([1, 2].map(load), [11, 0]);
}

#[test]
fn nothing_to_write_is_no_fence() {
    let _claim = claim();
    MACHINE.fail(0..1);
    write(&[]).unwrap();
    let empty = TextWrite {
        at: address(0),
        bytes: &[],
    };
    // SAFETY: Writes nothing.
    unsafe { write_fenced(&[empty]) }.unwrap();
}
