//! Calls that have not returned yet.

use alloc::vec::Vec;

use axebpf_platform::GuestVirt;
use spin::{Mutex, MutexGuard};

use crate::Entered;

/// How often a hit tries to get a lock before it counts as missed.
const ATTEMPTS: usize = 64;
/// A stack of a Linux task has no more bytes.
const STACK: u64 = 16 << 10;

/// Takes `lock` if that is possible within a bounded number of attempts.
pub(super) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    (0..ATTEMPTS).find_map(|_| lock.try_lock())
}

/// One call of a probed function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Where it returns to.
    pub(super) site: GuestVirt,
    /// The stack pointer at its entry, which it has again at its return.
    pub(super) sp: u64,
    /// The guest's task. Whatever the guest has there is only compared.
    pub(super) task: u64,
}

impl Call {
    /// Tells whether `self` cannot return any more when its task makes the call `next`: its frame would lie below.
    fn is_gone_at(&self, next: &Self) -> bool {
        self.task == next.task && self.sp <= next.sp && next.sp - self.sp < STACK
    }
}

/// A call that is remembered, with what its return is told.
#[derive(Clone, Copy)]
struct Pending {
    call: Call,
    entered: Entered,
}

/// What became of a call that is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    Kept,
    /// It is kept, and the oldest one is forgotten.
    InPlaceOfAnother,
    /// It is not kept, because another hit has the list.
    Busy,
}

/// The calls of one function that have not returned yet, oldest first.
pub(super) struct Returns {
    calls: Mutex<Vec<Pending>>,
    limit: usize,
}

impl Returns {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            calls: Mutex::new(Vec::with_capacity(limit.max(1))),
            limit: limit.max(1),
        }
    }

    /// Remembers `call`. Never allocates.
    pub(super) fn note(&self, call: Call, entered: Entered) -> Noted {
        let Some(mut calls) = try_lock(&self.calls) else {
            return Noted::Busy;
        };
        calls.retain(|old| !old.call.is_gone_at(&call));
        let is_full = calls.len() >= self.limit;
        if is_full {
            // Tasks that have died leave calls behind that never return.
            calls.remove(0);
        }
        calls.push(Pending { call, entered });
        if is_full {
            Noted::InPlaceOfAnother
        } else {
            Noted::Kept
        }
    }

    /// Forgets the call that is just returning, and returns what its entry has left, if it is remembered.
    pub(super) fn take(&self, returning: Call) -> Option<Entered> {
        let mut calls = try_lock(&self.calls)?;
        let index = calls.iter().rposition(|old| old.call == returning)?;
        Some(calls.remove(index).entered)
    }
}
