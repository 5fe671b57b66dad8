//! The second vCPU: it does one thing over and over while the first one interferes.

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_rt::{Stack, start_core};
use smccc::{Hvc, psci};

use super::arena;

/// What it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// What is done once; returns whether that went as it may.
    pub(super) once: fn(u64) -> bool,
    /// How often.
    pub(super) times: u64,
}

#[unsafe(link_section = ".stack.rival")]
static mut STACK: Stack<4> = Stack::new();

static DONE: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);
static FINISHED: AtomicU64 = AtomicU64::new(0);
/// How many rounds the first vCPU has made.
static ROUNDS: AtomicU64 = AtomicU64::new(0);
/// How many of them the second one waits for; no more than there have been if it does not wait.
static AWAITED: AtomicU64 = AtomicU64::new(0);

/// How often the second vCPU does its work before it waits for the first one, if that has fallen behind.
const PACE: u64 = 8;

/// Has the second vCPU do `job` while the first one does `meanwhile`, over and over with the number of the round.
/// Returns how often the second one's work went wrong. The second vCPU is switched off in the end.
pub(super) fn with(job: Job, mut meanwhile: impl FnMut(u64)) -> u64 {
    DONE.store(0, Ordering::Relaxed);
    WRONG.store(0, Ordering::Relaxed);
    ROUNDS.store(0, Ordering::Relaxed);
    AWAITED.store(0, Ordering::Relaxed);
    FINISHED.store(0, Ordering::Release);
    let stack = &raw mut STACK;
    // SAFETY: the stack is used by nothing but the second vCPU, which is off: it was never on, or this waited for its
    // end.
    let started = unsafe { start_core::<Hvc, _, 4>(1, stack, move || second(job)) };
    if started.is_err() {
        return u64::MAX;
    }
    let mut round = 0;
    while FINISHED.load(Ordering::Acquire) == 0 {
        meanwhile(round);
        round += 1;
        ROUNDS.store(round, Ordering::Release);
    }
    while psci::affinity_info::<Hvc>(1, psci::LowestAffinityLevel::All)
        != Ok(psci::AffinityState::Off)
    {
        core::hint::spin_loop();
    }
    WRONG.load(Ordering::Relaxed)
}

/// Waits until the second vCPU has begun its work and done it since, or does not get on before this round ends.
pub(super) fn settle() {
    let enough = done() + 2;
    let rounds = ROUNDS.load(Ordering::Relaxed);
    while done() < enough
        && AWAITED.load(Ordering::Acquire) <= rounds
        && FINISHED.load(Ordering::Acquire) == 0
    {
        core::hint::spin_loop();
    }
}

/// Returns how often the second vCPU has done its work since it was started.
pub(super) fn done() -> u64 {
    DONE.load(Ordering::Relaxed)
}

/// Waits for the end of the round that the first vCPU is in, so that neither does everything while the other one stands
/// still.
fn wait_for_round() {
    let awaited = ROUNDS.load(Ordering::Acquire) + 1;
    AWAITED.store(awaited, Ordering::Release);
    while ROUNDS.load(Ordering::Acquire) < awaited {
        core::hint::spin_loop();
    }
}

fn second(job: Job) -> ! {
    arena::enter();
    for round in 0..job.times {
        if round.is_multiple_of(PACE) {
            wait_for_round();
        }
        if !(job.once)(round) {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
        DONE.fetch_add(1, Ordering::Relaxed);
    }
    FINISHED.store(1, Ordering::Release);
    let _ = psci::cpu_off::<Hvc>();
    loop {
        core::hint::spin_loop();
    }
}
