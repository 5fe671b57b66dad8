//! Calls whose return is probed, from the entry of the function to its return.
//!
//! At the entry of a function with a return probe, its return address is replaced by the address of a trampoline, and
//! what was there is kept as a [`ReturnInstance`] in the [`ReturnTable`]. When the trampoline traps, the instance is
//! taken out again. There is one table for each image, whose size is fixed when the first return probe is attached: a
//! hit allocates nothing.
//!
//! # Why the stack pointer is the key
//!
//! A function leaves the stack pointer as it found it, wherever and whenever it returns. The stack pointer at the entry
//! therefore names the call, on whatever CPU the task has got to meanwhile, and in whatever order other tasks return:
//! no hook into the scheduler is needed. Calls can share it: a function that ends in a tail call hands its own return,
//! trampoline included, to the next one, and several return probes on one function keep an instance each. These return
//! in the opposite order, so the newest is the one. A recursive call has a stack pointer of its own.
//!
//! What is never returned from has to be forgotten: a task that is killed, or a stack that is thrown away, is reported
//! to
//! [`ReturnTable::forget_stack`] before the memory serves as a stack again.
//!
//! # Concurrency
//!
//! The table has one *state* word for each slot: 0 when the slot is free, 1 while it is filled or read out for good,
//! and else the number of the instance in it, which no other instance has had. The rest of a slot are plain words.
//!
//! - A slot is claimed by exchanging 0 for 1, filled, and released by storing the number. Nobody waits for a slot in
//!   state 1: it is passed over.
//! - Instances of a stack pointer are put in and taken out only by the code that runs on that stack (with interrupts
//!   masked, in the trap), or by `forget_stack` when nothing runs there any more. So whoever looks for a stack pointer
//!   of its own finds all that there are, and nobody changes them meanwhile. If a task has migrated, the scheduler has
//!   made what it did before visible. A slot that holds another stack's instance is never mistaken: whoever reads the
//!   number with acquire reads the stack pointer that was stored before it, or a newer one, which is another stack's as
//!   well.
//! - An instance is taken out by exchanging its number for 1, and 1 for 0 when it has been read, so each is
//!   taken out exactly once, by whoever it may be.
//! - Who looks at other stacks, that is `forget_stack`, [`iter`](ReturnTable::iter) and
//!   [`real_return_address`](ReturnTable::real_return_address), reads the number, the words, and the number again; a slot
//!   that changed in between is read again, a bounded number of times. Numbers never come back, so an equal number
//!   means that the words belong together.
//!
//! Loom checks all of this, `tests/loom/returns.rs`.

mod atomic;
mod maxactive;
mod slots;
mod table;

pub use maxactive::MaxActive;
pub use table::{ReturnTable, ReturnTableFull};

/// Names a link. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u64);

impl LinkId {
    /// Wraps a number.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A call whose return is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnInstance {
    /// The stack pointer at the entry of the function.
    pub sp: u64,
    /// Where the function returns to. This is the trampoline where several instances share the stack pointer.
    pub return_address: u64,
    /// The link whose probe it is. It may be gone when the function returns.
    pub link: LinkId,
    /// When the function was entered, in nanoseconds of the platform's clock.
    pub entry_time_ns: u64,
    /// What the entry hands to the return.
    pub entry_data: u64,
}
