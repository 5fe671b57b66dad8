//! No CPU ever executes what is not ready, or no longer there, and each step of the maintenance is needed for that.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use axebpf_hprobe::{BrkImmediate, HprobeLink};

use crate::caches::BASE;
use crate::cpu::{FUNCTION, Outcome, call};
use crate::lifecycle::{entry, probe};
use crate::machine::{MACHINE, TEXT_BYTES, claim};

/// Has another CPU call the function before and after a probe is attached, and after it is detached; returns whether
/// each call was as it should be.
fn other_cpu_sees_all(offset: u64) -> bool {
    let step = Barrier::new(2);
    // Whatever it executes, the other CPU comes to the next step.
    let call = || std::panic::catch_unwind(call).ok();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut calls = vec![call()];
            for _ in 0..2 {
                step.wait();
                step.wait();
                calls.push(call());
            }
            step.wait();
            calls
        });
        step.wait();
        let link = probe(&[entry(offset)]);
        step.wait();
        step.wait();
        let hits = link.as_ref().map(HprobeLink::hits);
        let detached = link.as_ref().map(HprobeLink::detach);
        step.wait();
        step.wait();
        let calls = other.join().unwrap();
        calls
            .iter()
            .all(|outcome| *outcome == Some(Outcome::Returned))
            && (hits, detached) == (Ok(1), Ok(Ok(())))
            && link.as_ref().map(HprobeLink::hits) == Ok(1)
    })
}

#[test]
fn nothing_is_stale() {
    let _claim = claim(&FUNCTION);
    for offset in [0, 8] {
        assert!(other_cpu_sees_all(offset));
    }
}

#[test]
fn each_step_of_the_maintenance_is_needed() {
    // DC CVAU, DSB, IC IVAU, DSB of one line; the ISB at the end is done by the fence, too.
    for left_out in 0..4 {
        let _claim = claim(&FUNCTION);
        MACHINE.left_out.store(left_out, Ordering::Relaxed);
        assert!(!other_cpu_sees_all(8), "without step {left_out}");
    }
}

#[test]
fn whoever_executes_a_trap_finds_it_ready_at_any_moment() {
    let _claim = claim(&FUNCTION);
    let calls = Arc::new(AtomicU64::new(0));
    // A CPU that executes text between two of its writes.
    let hook = |calls: Arc<AtomicU64>| -> Box<dyn Fn(u64, u32) + Send> {
        Box::new(move |at, _| {
            if at < BASE + TEXT_BYTES {
                assert_eq!(call(), Outcome::Returned);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    MACHINE.set_hooks(Some((hook(calls.clone()), hook(calls.clone()))));
    let link = probe(&[entry(0), entry(8), entry(12)]).unwrap();
    link.detach().unwrap();
    MACHINE.set_hooks(None);
    assert_eq!(calls.load(Ordering::Relaxed), 2 * 3 * 2);
    // Before and after each of the writes, as many probes fired as were there.
    let attaching = (1 + 2) + (1 + 2 + 3);
    let detaching = (3 + 2 + 1) + (2 + 1);
    assert_eq!(link.hits(), attaching + detaching);
}

#[test]
fn slots_are_written_before_traps() {
    let _claim = claim(&FUNCTION);
    let trap = BrkImmediate::Probe.instruction();
    let order = Arc::new(std::sync::Mutex::new(Vec::with_capacity(64)));
    let seen = order.clone();
    let after: Box<dyn Fn(u64, u32) + Send> = Box::new(move |at, word| {
        seen.lock().unwrap().push((at < BASE + TEXT_BYTES, word));
    });
    MACHINE.set_hooks(Some((Box::new(|_, _| {}), after)));
    let link = probe(&[entry(8)]).unwrap();
    MACHINE.set_hooks(None);
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 5);
    assert!(order[..4].iter().all(|&(is_text, _)| !is_text));
    assert_eq!(order[4], (true, trap));
    drop(link);
}
