//! `stress hprobe`: one CPU attaches and detaches, the others call the probed function.
//!
//! First at an instruction that is simulated, then at one that is executed in a slot: a call fires once.
//!
//! The handler counts for each CPU, and the function looks at that count: each of its calls has fired once or not at
//! all, and the firings that the function saw are as many as the links counted. Its callers count, too: each call was
//! executed, once.

use alloc::{boxed::Box, format, sync::Arc};
use core::{
    hint::black_box,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use axebpf::{
    hit::Padded,
    platform::{CpuId, HostVirt, ReadMemory},
    probe::hprobe::{self, HprobeError, HprobeHandler, HprobeHit, LinkOptions, ProbePoint},
};

use super::{
    console::println,
    hprobe_commands::slot_offset,
    percpu::{self, MAX_CPUS},
    platform::PLATFORM,
    sched,
    task::Task,
    timer,
};

/// What one CPU has counted.
struct Counts {
    /// By the handler.
    fired: AtomicU64,
    /// What `fired` was at the last call.
    before: AtomicU64,
    /// Calls that have fired, by the function.
    probed: AtomicU64,
    /// Calls that have fired more than once, by the function.
    wrong: AtomicU64,
    /// Calls, by the function.
    executed: AtomicU64,
    /// Calls, by the caller.
    called: AtomicU64,
}

static COUNTS: [Padded<Counts>; MAX_CPUS] = [const {
    Padded::new(Counts {
        fired: AtomicU64::new(0),
        before: AtomicU64::new(0),
        probed: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
        executed: AtomicU64::new(0),
        called: AtomicU64::new(0),
    })
}; MAX_CPUS];
static STOP: AtomicBool = AtomicBool::new(false);
static RUNNING: AtomicU64 = AtomicU64::new(0);

struct Watch;

impl HprobeHandler for Watch {
    fn hit(&self, hit: &HprobeHit<'_>) {
        COUNTS[hit.guard.cpu().index()]
            .fired
            .fetch_add(1, Ordering::Relaxed);
    }
}

/// The probed function. One task on each CPU calls it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stress_target(cpu: u64) -> u64 {
    let counts = &COUNTS[cpu as usize % MAX_CPUS];
    let fired = counts.fired.load(Ordering::Relaxed);
    match fired - counts.before.swap(fired, Ordering::Relaxed) {
        0 => {}
        1 => drop(counts.probed.fetch_add(1, Ordering::Relaxed)),
        _ => drop(counts.wrong.fetch_add(1, Ordering::Relaxed)),
    }
    callee(counts)
}

/// Keeps the function above from being a leaf, so that it begins as functions do.
#[inline(never)]
fn callee(counts: &Counts) -> u64 {
    black_box(counts).executed.fetch_add(1, Ordering::Relaxed)
}

/// Runs for `seconds`, and tells whether no firing and no call was lost, and no instruction left behind.
pub(crate) fn run(seconds: u64) -> bool {
    let Some(slot) = slot_offset(target()) else {
        println!("error: all instructions are simulated");
        return false;
    };
    [0, slot]
        .into_iter()
        .all(|offset| run_at(offset, seconds.div_ceil(2)))
}

fn run_at(offset: u64, seconds: u64) -> bool {
    let before = text();
    STOP.store(false, Ordering::Relaxed);
    for cpu in percpu::all().filter(|&cpu| cpu != percpu::id()) {
        if !start(cpu) {
            println!("no memory left for cpu {cpu}");
        }
    }
    let end = timer::now_ns() + seconds * 1_000_000_000;
    let mut links = Links::default();
    let mut outcome = Ok(());
    while timer::now_ns() < end && outcome.is_ok() {
        outcome = links.round(offset);
        links.unrestored += u64::from(text() != before);
    }
    STOP.store(true, Ordering::Relaxed);
    while RUNNING.load(Ordering::Acquire) > 0 {
        sched::sleep(1_000_000);
    }
    if let Err(error) = &outcome {
        println!("error: {error}");
    }
    outcome.is_ok() && links.report(offset)
}

/// What the links have counted.
#[derive(Default)]
struct Links {
    rounds: u64,
    hits: u64,
    missed: u64,
    unrestored: u64,
}

impl Links {
    /// Attaches, waits a little, and detaches.
    fn round(&mut self, offset: u64) -> Result<(), HprobeError> {
        let point = ProbePoint::entry(target(), offset)?;
        let link = hprobe::attach(&[point], Arc::new(Watch), LinkOptions::default())?;
        if self.rounds.is_multiple_of(16) {
            sched::sleep(1_000_000);
        }
        link.detach()?;
        self.rounds += 1;
        self.hits += link.hits();
        self.missed += link.missed();
        Ok(())
    }

    /// Compares what all have counted, and tells whether it is the same.
    fn report(&self, offset: u64) -> bool {
        let sum = |count: fn(&Counts) -> &AtomicU64| -> u64 {
            let all = COUNTS.iter().map(|counts| count(counts));
            // Each run starts at zero.
            all.map(|count| count.swap(0, Ordering::Relaxed)).sum()
        };
        let fired = sum(|counts| &counts.fired);
        let probed = sum(|counts| &counts.probed);
        let (wrong, executed) = (sum(|counts| &counts.wrong), sum(|counts| &counts.executed));
        let called = sum(|counts| &counts.called);
        sum(|counts| &counts.before);
        let Self {
            rounds,
            hits,
            missed,
            unrestored,
        } = self;
        let passed = *hits > 0
            && *hits == fired
            && fired == probed
            && called == executed
            && [wrong, *missed, *unrestored] == [0; 3];
        let verdict = if passed { "passed" } else { "failed" };
        println!(
            "stress hprobe {verdict} at +{offset:#x}: {rounds} rounds, {hits} hits, {missed} missed, {probed} probed and {wrong} wrong calls, \
             {executed} of {called} calls executed, {unrestored} times not restored"
        );
        passed
    }
}

fn target() -> HostVirt {
    let target: extern "C" fn(u64) -> u64 = stress_target;
    HostVirt::new(target as usize as u64)
}

/// Reads the first instructions of the probed function.
fn text() -> [u8; 16] {
    let mut text = [0; 16];
    // What cannot be read stays zero, and is found different.
    let _ = PLATFORM.read_memory(target(), &mut text);
    text
}

fn start(cpu: CpuId) -> bool {
    let body = Box::new(move || {
        while !STOP.load(Ordering::Relaxed) {
            COUNTS[cpu.index()].called.fetch_add(1, Ordering::Relaxed);
            stress_target(cpu.index() as u64);
        }
        // Firings at the second instruction come after the look: the last one is seen by one more call.
        COUNTS[cpu.index()].called.fetch_add(1, Ordering::Relaxed);
        stress_target(cpu.index() as u64);
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    });
    let Some(task) = Task::new(format!("hammer{cpu}"), cpu, None, body) else {
        return false;
    };
    RUNNING.fetch_add(1, Ordering::AcqRel);
    sched::spawn(Arc::new(task));
    true
}
