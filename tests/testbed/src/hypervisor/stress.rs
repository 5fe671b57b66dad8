//! `stress`: two CPUs attach, detach and fire at once, and count.
//!
//! Each worker has its own number in the event and listens, through a filter, only to itself; so it knows exactly how
//! many firings it must have seen, while the other worker patches the same tracepoints all the time.

use alloc::{boxed::Box, format, sync::Arc};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use axebpf::{
    LinkOptions, LoadOptions, Unload,
    platform::CpuId,
    programs,
    tracepoint::{self, Filter, TraceHandler, TraceHit, define_event, trace},
};

use super::{console::println, percpu, sched, task::Task, timer, tracing};

define_event! {
    /// A stress worker fires.
    pub(super) event testbed:stress as Stress {
        /// The worker.
        worker: u32,
        /// How often it fired before.
        round: u64,
    }
}

const WORKERS: u32 = 2;
/// How often a worker fires for each time that it attaches.
const FIRINGS: u64 = 16;
/// After how many rounds a worker loads a program too, which takes much longer.
const ROUNDS_PER_LOAD: u64 = 16;

/// What the workers found.
#[derive(Default)]
struct Tally {
    rounds: AtomicU64,
    hits: AtomicU64,
    wrong: AtomicU64,
    running: AtomicU32,
}

struct Counter(AtomicU64);

impl TraceHandler for Counter {
    fn hit(&self, _hit: &TraceHit<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the workers for `seconds` and tells whether all that they counted was right.
pub(crate) fn run(seconds: u64) -> bool {
    let tally = Arc::new(Tally::default());
    let end = timer::now_ns() + seconds * 1_000_000_000;
    for worker in 0..WORKERS {
        if !start(worker, end, &tally) {
            println!("no memory left for worker {worker}");
        }
    }
    while tally.running.load(Ordering::Acquire) > 0 {
        sched::sleep(10_000_000);
    }
    let rounds = tally.rounds.load(Ordering::Relaxed);
    let hits = tally.hits.load(Ordering::Relaxed);
    let wrong = tally.wrong.load(Ordering::Relaxed);
    let passed = wrong == 0 && rounds > 0;
    let verdict = if passed { "passed" } else { "failed" };
    println!("stress {verdict}: {rounds} rounds, {hits} hits, {wrong} wrong, {WORKERS} workers");
    passed
}

fn start(worker: u32, end: u64, tally: &Arc<Tally>) -> bool {
    let cpu = CpuId::new(worker % percpu::count());
    let theirs = tally.clone();
    let body = Box::new(move || {
        work(worker, end, &theirs);
        theirs.running.fetch_sub(1, Ordering::AcqRel);
    });
    let Some(task) = Task::new(format!("stress{worker}"), cpu, None, body) else {
        return false;
    };
    tally.running.fetch_add(1, Ordering::AcqRel);
    sched::spawn(Arc::new(task));
    true
}

fn work(worker: u32, end: u64, tally: &Tally) {
    let mut round = 0;
    while timer::now_ns() < end {
        let outcome = listen(worker, round).and_then(|hits| {
            tally.hits.fetch_add(hits, Ordering::Relaxed);
            if round % ROUNDS_PER_LOAD == 0 {
                run_program()
            } else {
                Ok(())
            }
        });
        if let Err(reason) = outcome {
            println!("stress worker {worker}, round {round}: {reason}");
            tally.wrong.fetch_add(1, Ordering::Relaxed);
        }
        tally.rounds.fetch_add(1, Ordering::Relaxed);
        round += 1;
    }
}

/// Attaches a handler, fires, detaches, and fires again. Returns how many firings the handler saw, which must be all of
/// the first.
fn listen(worker: u32, round: u64) -> Result<u64, alloc::string::String> {
    let counter = Arc::new(Counter(AtomicU64::new(0)));
    let filter = Filter::compile(&format!("worker == {worker}"), &stress)
        .map_err(|error| format!("{error}"))?;
    let subscription = tracepoint::subscribe(&stress, counter.clone(), Some(filter))
        .map_err(|error| format!("{error}"))?;
    fire(worker, round);
    subscription.cancel().map_err(|error| format!("{error}"))?;
    fire(worker, round);
    let hits = counter.0.load(Ordering::Relaxed);
    if hits == FIRINGS {
        Ok(hits)
    } else {
        Err(format!("{hits} hits instead of {FIRINGS}"))
    }
}

#[inline(never)]
fn fire(worker: u32, round: u64) {
    for _ in 0..FIRINGS {
        trace!(stress { worker, round });
    }
}

/// Loads and attaches a program, detaches and unloads it, and checks that no hit went wrong.
fn run_program() -> Result<(), alloc::string::String> {
    let axebpf = tracing::axebpf().ok_or("axebpf did not start")?;
    let object = programs::find("exit_count").ok_or("there is no exit_count")?;
    let object = axebpf
        .load(object.name, object.elf, &LoadOptions::default())
        .map_err(|error| format!("{error}"))?;
    let all = axebpf.programs().map_err(|error| format!("{error}"))?;
    for program in all.iter().filter(|program| program.object == object) {
        let link = axebpf
            .attach(program.id, &LinkOptions::default())
            .map_err(|error| format!("{error}"))?;
        sched::sleep(2_000_000);
        let counts = axebpf.detach(link).map_err(|error| format!("{error}"))?;
        if counts.errors > 0 {
            return Err(format!("{} of {} runs failed", counts.errors, counts.hits));
        }
    }
    axebpf
        .unload(object, Unload::IfUnused)
        .map_err(|error| format!("{error}"))
}
