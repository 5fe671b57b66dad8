//! The slots of the table, and what is done to one of them.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::atomic::{AtomicU64, Ordering, fence};
use super::{LinkId, ReturnInstance};

/// The state of a slot with nothing in it.
const FREE: u64 = 0;
/// The state of a slot that somebody fills, or reads out for good.
const BUSY: u64 = 1;
/// The lowest number of an instance.
pub(super) const FIRST_NUMBER: u64 = 2;

/// How often a slot of another stack is read before it is passed over.
const TRIES: u32 = if cfg!(loom) { 2 } else { 16 };

/// The slots.
///
/// The states lie apart from the rest, so that a look at a window of slots touches two or three cache lines.
#[derive(Debug)]
pub(super) struct Slots {
    states: Box<[AtomicU64]>,
    words: Box<[Words]>,
}

/// What a slot holds besides its state.
#[derive(Debug)]
struct Words {
    sp: AtomicU64,
    return_address: AtomicU64,
    link: AtomicU64,
    entry_time_ns: AtomicU64,
    entry_data: AtomicU64,
}

impl Slots {
    /// Makes `count` free slots.
    pub(super) fn new(count: usize) -> Result<Self, TryReserveError> {
        Ok(Self {
            states: filled(count, || AtomicU64::new(FREE))?,
            words: filled(count, Words::new)?,
        })
    }

    /// Returns how many slots there are.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Puts `instance` into slot `index` if that is free, with `number`, and tells whether it was.
    pub(super) fn put(&self, index: usize, number: u64, instance: &ReturnInstance) -> bool {
        let state = &self.states[index];
        if state.load(Ordering::Relaxed) != FREE
            || state
                .compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        // Whoever reads one of the words stored below also finds that the number is no longer what it was.
        fence(Ordering::Release);
        self.words[index].store(instance);
        state.store(number, Ordering::Release);
        true
    }

    /// Returns the number of the instance in slot `index` if its stack pointer is `sp`, that of the caller's stack.
    pub(super) fn own(&self, index: usize, sp: u64) -> Option<u64> {
        let number = self.states[index].load(Ordering::Acquire);
        let is_own = number >= FIRST_NUMBER && self.words[index].sp.load(Ordering::Relaxed) == sp;
        is_own.then_some(number)
    }

    /// Takes the instance with `number` out of slot `index`, unless somebody else does.
    pub(super) fn take(&self, index: usize, number: u64) -> Option<ReturnInstance> {
        let state = &self.states[index];
        state
            .compare_exchange(number, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let instance = self.words[index].load();
        // Released: the next one to fill the slot does not write what is still being read.
        state.store(FREE, Ordering::Release);
        Some(instance)
    }

    /// Returns what slot `index` holds, whosever it is.
    ///
    /// A slot that changes during each of a bounded number of tries is passed over; one that stays as it is never is.
    pub(super) fn peek(&self, index: usize) -> Option<(u64, ReturnInstance)> {
        let state = &self.states[index];
        (0..TRIES).find_map(|_| {
            let number = state.load(Ordering::Acquire);
            if number < FIRST_NUMBER {
                return Some(None);
            }
            let instance = self.words[index].load();
            fence(Ordering::Acquire);
            (state.load(Ordering::Relaxed) == number).then_some(Some((number, instance)))
        })?
    }
}

impl Words {
    fn new() -> Self {
        Self {
            sp: AtomicU64::new(0),
            return_address: AtomicU64::new(0),
            link: AtomicU64::new(0),
            entry_time_ns: AtomicU64::new(0),
            entry_data: AtomicU64::new(0),
        }
    }

    fn store(&self, instance: &ReturnInstance) {
        let relaxed = Ordering::Relaxed;
        self.sp.store(instance.sp, relaxed);
        self.return_address.store(instance.return_address, relaxed);
        self.link.store(instance.link.get(), relaxed);
        self.entry_time_ns.store(instance.entry_time_ns, relaxed);
        self.entry_data.store(instance.entry_data, relaxed);
    }

    fn load(&self) -> ReturnInstance {
        let relaxed = Ordering::Relaxed;
        ReturnInstance {
            sp: self.sp.load(relaxed),
            return_address: self.return_address.load(relaxed),
            link: LinkId::new(self.link.load(relaxed)),
            entry_time_ns: self.entry_time_ns.load(relaxed),
            entry_data: self.entry_data.load(relaxed),
        }
    }
}

/// Makes `count` values, or reports that there is no memory for them.
fn filled<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(count)?;
    values.resize_with(count, make);
    Ok(values.into_boxed_slice())
}
