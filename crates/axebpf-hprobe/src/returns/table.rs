//! The table of the calls that are in flight.

use alloc::collections::TryReserveError;
use core::ops::Range;

use axebpf_hit::HitGuard;
use axebpf_platform::HostVirt;
use thiserror::Error;

use super::atomic::{AtomicU64, Ordering};
use super::slots::{FIRST_NUMBER, Slots};
use super::{LinkId, ReturnInstance};

/// How many slots an instance may be in, counted from the one that its stack pointer says.
const WINDOW: usize = if cfg!(loom) { 2 } else { 16 };

/// An instance for which no slot was free where it belongs. The return is one to be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no slot is free for a return at stack pointer {sp:#x}")]
pub struct ReturnTableFull {
    /// The stack pointer at the entry of the function.
    pub sp: u64,
}

/// The calls whose return is probed, of all links, tasks and CPUs.
///
/// At the entry of a function with a return probe, its return address is replaced by the address of a trampoline, and
/// what was there is kept here. When the trampoline traps, it is taken out again. The stack pointer at the entry names
/// the call, since a function leaves it as it found it: it does not matter to which CPU the task has got meanwhile, and
/// in what order other tasks return. Calls that share it, since one has ended in a tail call of the next or since there
/// are several probes on the function, return in the opposite order, and so the newest is taken.
///
/// No method but [`new`](Self::new) allocates, and none waits for another.
///
/// # Examples
///
/// ```
/// use axebpf_hprobe::{LinkId, ReturnInstance, ReturnTable};
/// use axebpf_platform::mock::MOCK;
///
/// axebpf_hit::install(&MOCK)?;
/// let table = ReturnTable::new(64)?;
/// let call = ReturnInstance {
///     sp: 0x8000,
///     return_address: 0x1234,
///     link: LinkId::new(1),
///     entry_time_ns: 5,
///     entry_data: 0,
/// };
/// table.claim(&axebpf_hit::enter()?, call)?;
/// assert_eq!(table.in_flight(LinkId::new(1)), 1);
/// assert_eq!(table.take(0x8000), Some(call));
/// assert_eq!(table.take(0x8000), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReturnTable {
    slots: Slots,
    /// The number of the next instance. Higher is newer, for instances of one stack.
    next: AtomicU64,
}

impl ReturnTable {
    /// Makes an empty table with room for `capacity` calls, rounded up to a power of two.
    ///
    /// A slot takes 48 bytes. Since each call fits into 16 slots only, some do not find room when the table is more
    /// than about half full.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn new(capacity: usize) -> Result<Self, TryReserveError> {
        // A number that has no power of two above it is more than there can be memory for.
        let slots = capacity.max(WINDOW);
        let slots = slots.checked_next_power_of_two().unwrap_or(slots);
        Ok(Self {
            slots: Slots::new(slots)?,
            next: AtomicU64::new(FIRST_NUMBER),
        })
    }

    /// Returns how many calls there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Keeps `instance`, a call on the stack that the caller interrupted.
    ///
    /// # Errors
    ///
    /// [`ReturnTableFull`] when there is no room. Nothing has changed then.
    pub fn claim(
        &self,
        _guard: &HitGuard,
        instance: ReturnInstance,
    ) -> Result<(), ReturnTableFull> {
        let sp = instance.sp;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let is_put = self
            .window(sp)
            .any(|index| self.slots.put(index, number, &instance));
        is_put.then_some(()).ok_or(ReturnTableFull { sp })
    }

    /// Takes out the newest call at the stack pointer `sp`, of the stack that the caller interrupted.
    ///
    /// To be called at the trampoline, with interrupts masked. It needs no hit guard, so that a return that comes
    /// inside a hit finds home as well.
    #[must_use]
    pub fn take(&self, sp: u64) -> Option<ReturnInstance> {
        let own = self
            .window(sp)
            .filter_map(|index| Some((self.slots.own(index, sp)?, index)));
        let (number, index) = own.max()?;
        self.slots.take(index, number)
    }

    /// Drops the calls on a stack that will not return, and returns how many there were.
    ///
    /// To be called when a task has died, or a stack is thrown away, before its memory serves as a stack again. `stack`
    /// are the bytes of the stack: the stack pointer of a call on it lies above the start, and is at most the end,
    /// which is where an empty stack begins. `dropped` sees each call, to take it off the
    /// [`MaxActive`](super::MaxActive) of its link.
    ///
    /// Nothing runs on the stack during the call.
    pub fn forget_stack(
        &self,
        stack: &Range<HostVirt>,
        mut dropped: impl FnMut(ReturnInstance),
    ) -> usize {
        let is_on = |sp: u64| stack.start.get() < sp && sp <= stack.end.get();
        (0..self.slots.len())
            .filter_map(|index| {
                let (number, instance) = self.slots.peek(index)?;
                is_on(instance.sp).then(|| self.slots.take(index, number))?
            })
            .map(&mut dropped)
            .count()
    }

    /// Finds where a call returns to whose return address is `trampoline`.
    ///
    /// For unwinders. `lowest_sp` is the lowest stack pointer that the function can have been entered with: the end of
    /// its frame record if the return address was read from there (16 bytes above where it starts, on aarch64), the
    /// stack pointer if it was in the link register still, or on x86_64 the address of the return address itself. The
    /// call is the one with the lowest stack pointer from there on: calls further in have a lower one, and calls
    /// further out a higher one. Where several have the same, the answer is what the first of them returns to.
    #[must_use]
    pub fn real_return_address(&self, lowest_sp: u64, trampoline: HostVirt) -> Option<HostVirt> {
        self.iter()
            .filter(|call| call.sp >= lowest_sp && call.return_address != trampoline.get())
            .min_by_key(|call| call.sp)
            .map(|call| HostVirt::new(call.return_address))
    }

    /// Visits the calls that are in flight, as far as they stay for that long.
    pub fn iter(&self) -> impl Iterator<Item = ReturnInstance> {
        (0..self.slots.len()).filter_map(|index| Some(self.slots.peek(index)?.1))
    }

    /// Counts the calls of `link` that are in flight.
    ///
    /// Also those of a link that is detached, and whose functions have not all returned yet.
    #[must_use]
    pub fn in_flight(&self, link: LinkId) -> usize {
        self.iter().filter(|call| call.link == link).count()
    }

    /// Returns the slots in which an instance with the stack pointer `sp` may be.
    fn window(&self, sp: u64) -> impl Iterator<Item = usize> {
        // The number of slots is a power of two, of which the top bits of the product choose one (Knuth's
        // multiplicative hash): neighbouring frames of one stack end up far from each other.
        let mask = self.slots.len() - 1;
        let first = (sp >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (0..WINDOW).map(move |offset| (first as usize).wrapping_add(offset) & mask)
    }
}
