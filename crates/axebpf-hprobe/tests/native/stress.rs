//! Threads that call a function while its probes come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use axebpf_hprobe::native::attach;
use axebpf_hprobe::{LinkOptions, ProbePoint};

use crate::Ignore;
use crate::code::{self, INSTRUCTIONS, address, native_stressed};
use crate::process::{alone, start};

const THREADS: u64 = 4;
const ROUNDS: u64 = 60;

/// Calls the function until `stop`, and returns how often.
fn hammer(calls: &AtomicU64, stop: &AtomicBool) -> u64 {
    start();
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(native_stressed(calls, made), made + 1);
        made += 1;
    }
    made
}

#[test]
fn no_call_is_lost_while_links_come_and_go() {
    let _alone = alone();
    let function = address!(native_stressed);
    let entry = ProbePoint::entry(function, 0).unwrap();
    let returning = ProbePoint::returning(function).unwrap();
    let others: Vec<_> = INSTRUCTIONS[1..6]
        .iter()
        .map(|&offset| code::at(function, offset).unwrap())
        .collect();
    let new = |points: &[ProbePoint]| {
        attach(
            points,
            Arc::new(Ignore),
            LinkOptions::default().with_maxactive(2),
        )
        .unwrap()
    };
    let calls = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    // Two that stay, so that their counts can be compared with the function's own.
    let [entries, returns] = [new(&[entry]), new(&[returning])];
    let made: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| hammer(&calls, &stop)))
            .collect();
        for round in 0..ROUNDS {
            let shared = new(&[entry, returning]);
            let own = new(&others[..1 + round as usize % others.len()]);
            thread::yield_now();
            shared.detach().unwrap();
            own.detach().unwrap();
            let (hits, missed) = (own.hits(), own.missed());
            thread::yield_now();
            assert_eq!((own.hits(), own.missed()), (hits, missed), "detached");
        }
        stop.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(calls.load(Ordering::Relaxed), made);
    assert_eq!(entries.hits() + entries.missed(), made);
    assert_eq!(returns.hits() + returns.missed(), made);
    println!(
        "{made} calls; {} hits at the entry, {} at the return, {} returns missed",
        entries.hits(),
        returns.hits(),
        returns.missed()
    );
}
