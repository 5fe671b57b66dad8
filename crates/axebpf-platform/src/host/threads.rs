//! Which thread is which CPU.

use core::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread_local;

use super::interrupts;
use crate::{CpuId, InterruptState};

/// How many threads can be CPUs at a time.
pub(super) const LIMIT: u32 = 64;

/// The thread that holds each number. Changed only with interrupts masked: a holder that was stopped by a fence
/// in here would keep the initiator from kicking the next one.
static HELD: Mutex<[Option<libc::pthread_t>; LIMIT as usize]> = Mutex::new([None; LIMIT as usize]);

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
        release();
    }
}

/// The table, locked, with the interrupts of this thread masked.
struct Table {
    held: Option<MutexGuard<'static, [Option<libc::pthread_t>; LIMIT as usize]>>,
    interrupts: InterruptState,
}

impl Table {
    fn lock() -> Self {
        let interrupts = interrupts::mask();
        let held = Some(HELD.lock().unwrap_or_else(PoisonError::into_inner));
        Self { held, interrupts }
    }

    /// Returns the first of `wanted` that is free; waits until one is.
    fn take(&mut self, wanted: core::ops::Range<u32>) -> u32 {
        loop {
            let Some(mut held) = self.held.take() else {
                unreachable!("the table is locked until it is dropped");
            };
            if let Some(id) = wanted.clone().find(|&id| held[id as usize].is_none()) {
                // SAFETY: Has no preconditions.
                held[id as usize] = Some(unsafe { libc::pthread_self() });
                self.held = Some(held);
                return id;
            }
            self.held = Some(FREED.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn holder(&mut self, cpu: CpuId) -> Option<&mut Option<libc::pthread_t>> {
        self.held.as_mut()?.get_mut(cpu.index())
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
        release();
        take(id..id + 1);
    }
}

fn take(wanted: core::ops::Range<u32>) -> u32 {
    // A thread that is a CPU again while it ends has no lease any more. It keeps its number for good, which is
    // better than two threads with one.
    let _ = LEASE.try_with(|_| ());
    let mut table = Table::lock();
    let id = table.take(wanted);
    CURRENT.set(Some(id));
    drop(table);
    // A fence that began before this CPU could be seen must not miss it, masked or not.
    interrupts::handle();
    id
}

fn release() {
    let mut table = Table::lock();
    if let Some(id) = CURRENT.take() {
        if let Some(holder) = table.holder(CpuId::new(id)) {
            *holder = None;
        }
        FREED.notify_all();
    }
}

pub(super) fn is_held(cpu: CpuId) -> bool {
    Table::lock()
        .holder(cpu)
        .is_some_and(|holder| holder.is_some())
}

/// Interrupts the thread that holds `cpu`, if one does.
pub(super) fn kick(cpu: CpuId) {
    let mut table = Table::lock();
    if let Some(&mut Some(thread)) = table.holder(cpu) {
        // SAFETY: The thread lives: it takes itself out of the table, which is locked, before it ends.
        let result = unsafe { libc::pthread_kill(thread, interrupts::SIGNAL) };
        debug_assert_eq!(result, 0, "a live thread can be signalled");
    }
}
