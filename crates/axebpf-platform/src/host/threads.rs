//! Which thread is which CPU.

use core::cell::Cell;
use core::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread_local;

use super::interrupts;
use crate::{CpuId, InterruptState};

/// How many threads can be CPUs at a time.
pub(super) const LIMIT: u32 = 64;

/// Who holds each number. Changed only with interrupts masked: a holder that was stopped by a fence in here would keep
/// the initiator from kicking the next one.
static HELD: Mutex<[Holder; LIMIT as usize]> = Mutex::new([Holder::Nobody; LIMIT as usize]);

#[derive(Clone, Copy)]
enum Holder {
    Nobody,
    /// A live thread, which takes itself out before it ends.
    Thread(libc::pthread_t),
    /// A thread that became a CPU again while it was ending, and can no longer tell when it has. The number stays
    /// taken for good, which is better than two CPUs with one number; the thread takes no part in fences.
    Ending,
}

/// Wakes the threads that wait for a number.
static FREED: Condvar = Condvar::new();

thread_local! {
    /// The number of this thread. Without a destructor, so that a signal handler may read it.
    static CURRENT: Cell<Option<u32>> = const { Cell::new(None) };

    /// Gives the number back when the thread ends.
    static LEASE: Lease = const { Lease };
}

struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        // No interrupt comes to a thread that is no CPU any more.
        let _for_good = interrupts::mask();
        release();
    }
}

/// The table, locked, with the interrupts of this thread masked.
struct Table {
    held: Option<MutexGuard<'static, [Holder; LIMIT as usize]>>,
    interrupts: InterruptState,
}

impl Table {
    fn lock() -> Self {
        let interrupts = interrupts::mask();
        let held = Some(HELD.lock().unwrap_or_else(PoisonError::into_inner));
        Self { held, interrupts }
    }

    /// Gives the first of `wanted` that is free to `holder`; waits until one is.
    fn take(&mut self, wanted: Range<u32>, holder: Holder) -> u32 {
        loop {
            let Some(mut held) = self.held.take() else {
                unreachable!("the table is locked until it is dropped");
            };
            let is_free = |&id: &u32| matches!(held[id as usize], Holder::Nobody);
            if let Some(id) = wanted.clone().find(is_free) {
                held[id as usize] = holder;
                self.held = Some(held);
                return id;
            }
            self.held = Some(FREED.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Returns the live thread that holds `cpu`.
    fn thread(&self, cpu: CpuId) -> Option<libc::pthread_t> {
        match self.held.as_ref()?.get(cpu.index()) {
            Some(&Holder::Thread(thread)) => Some(thread),
            _ => None,
        }
    }

    fn give_back(&mut self, id: u32) {
        if let Some(held) = &mut self.held {
            held[id as usize] = Holder::Nobody;
        }
        FREED.notify_all();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // In this order: interrupts stay masked until the lock is free.
        self.held = None;
        interrupts::restore(self.interrupts);
    }
}

pub(super) fn current() -> CpuId {
    CpuId::new(CURRENT.get().unwrap_or_else(|| take(0..LIMIT)))
}

/// Makes this thread the CPU `id`, waiting until it is free. `id` is below [`LIMIT`].
#[cfg_attr(
    not(feature = "mock"),
    expect(dead_code, reason = "only a mock chooses")
)]
pub(crate) fn move_to(id: u32) {
    if CURRENT.get() != Some(id) {
        // An interrupt in between would find no CPU here, and take another number.
        let interrupts = interrupts::mask();
        release();
        take(id..id + 1);
        interrupts::restore(interrupts);
    }
}

fn take(wanted: Range<u32>) -> u32 {
    let holder = match LEASE.try_with(|_| ()) {
        // SAFETY: Has no preconditions.
        Ok(()) => Holder::Thread(unsafe { libc::pthread_self() }),
        Err(_) => Holder::Ending,
    };
    let mut table = Table::lock();
    let id = table.take(wanted, holder);
    CURRENT.set(Some(id));
    drop(table);
    // A fence that began before this CPU could be seen must not miss it, masked or not.
    interrupts::handle();
    id
}

fn release() {
    let mut table = Table::lock();
    if let Some(id) = CURRENT.take() {
        table.give_back(id);
    }
}

pub(super) fn is_held(cpu: CpuId) -> bool {
    Table::lock().thread(cpu).is_some()
}

/// Interrupts the thread that holds `cpu`, if one does.
pub(super) fn kick(cpu: CpuId) {
    let table = Table::lock();
    if let Some(thread) = table.thread(cpu) {
        // SAFETY: The thread lives: it takes itself out of the table, which is locked here, before it ends.
        let result = unsafe { libc::pthread_kill(thread, interrupts::SIGNAL) };
        debug_assert_eq!(result, 0, "a live thread can be signalled");
    }
}
