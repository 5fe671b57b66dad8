//! Queues and stacks.
//!
//! # Protocol
//!
//! The values lie in a circle of slots. One lock covers it, with a counter each for the oldest value and for how many
//! there are; it is held for the copy of one value. Hits try for it a bounded number of times and get
//! [`Busy`](MapError::Busy), as Linux's do in a non-maskable interrupt; the management side waits for it inside its own
//! hit guard. Every value comes out whole, and exactly once.
//!
//! Programs get copies only: there is no pointer to a value, so the arena that they see is empty.

use alloc::vec::Vec;

use axebpf_hit::HitGuard;

use crate::map::Map;
use crate::storage::{Copies, Place, Values};
use crate::store::Store;
use crate::sync::{AtomicU32, Effort, Locked, Ordering, TryLock};
use crate::value_sink::ValueSink;
use crate::value_source::ValueSource;
use crate::{MapError, MapKind, MapSpec, Operation, UpdateFlags, limits};

/// Which value comes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OldestFirst,
    YoungestFirst,
}

/// What becomes of a value that is copied out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stays,
    Leaves,
}

#[derive(Debug)]
pub(crate) struct Queue {
    kind: MapKind,
    values: Values,
    capacity: u32,
    lock: TryLock,
    /// The slot of the oldest value. Changed under the lock.
    oldest: AtomicU32,
    /// How many values there are. Changed under the lock.
    len: AtomicU32,
}

impl Queue {
    pub(crate) fn new(spec: &MapSpec) -> Result<Self, MapError> {
        let copies = Copies::Shared;
        limits::check_total(Values::bytes_for(spec.value_size, spec.max_entries, copies))?;
        Ok(Self {
            kind: spec.kind,
            values: Values::new(spec.value_size, spec.max_entries, copies)?,
            capacity: spec.max_entries,
            lock: TryLock::new(),
            oldest: AtomicU32::new(0),
            len: AtomicU32::new(0),
        })
    }

    fn order(&self) -> Order {
        if self.kind == MapKind::Stack {
            Order::YoungestFirst
        } else {
            Order::OldestFirst
        }
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    fn lock(&self, effort: Effort) -> Result<Locked<'_>, MapError> {
        self.lock.acquire(effort).ok_or(MapError::Busy)
    }

    /// Returns the slot of the value that came `age` values after the oldest.
    fn slot(&self, age: u32) -> u32 {
        let at = u64::from(self.oldest.load(Ordering::Relaxed)) + u64::from(age);
        (at % u64::from(self.capacity)) as u32
    }

    pub(crate) fn push(
        &self,
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
        effort: Effort,
    ) -> Result<(), MapError> {
        if flags == UpdateFlags::NoExist {
            let kind = self.kind;
            return Err(MapError::WrongUpdateFlags { kind, flags });
        }
        self.values.check_value(value)?;
        let _locked = self.lock(effort)?;
        let len = self.len();
        if len == self.capacity {
            if flags != UpdateFlags::Exist {
                return Err(MapError::Full { limit: len });
            }
            // The slot of the oldest value is the one after the youngest.
            self.oldest.store(self.slot(1), Ordering::Relaxed);
        }
        let age = len.min(self.capacity - 1);
        let slot = self.slot(age);
        self.values.write(Place { copy: 0, slot }, value, 0);
        self.len.store(age + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Copies out the value that is next; zeroes if there is none, which it tells as [`NotFound`](MapError::NotFound).
    fn next(
        &self,
        out: &mut (impl ValueSink + ?Sized),
        then: Then,
        effort: Effort,
    ) -> Result<(), MapError> {
        self.values.check_sink(out)?;
        let _locked = self.lock(effort)?;
        let Some(youngest) = self.len().checked_sub(1) else {
            self.values.zero_sink(out);
            return Err(MapError::NotFound);
        };
        let slot = match self.order() {
            Order::OldestFirst => self.slot(0),
            Order::YoungestFirst => self.slot(youngest),
        };
        self.values.read(Place { copy: 0, slot }, out);
        if then == Then::Leaves {
            if self.order() == Order::OldestFirst {
                self.oldest.store(self.slot(1), Ordering::Relaxed);
            }
            self.len.store(youngest, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn peek(
        &self,
        out: &mut (impl ValueSink + ?Sized),
        effort: Effort,
    ) -> Result<(), MapError> {
        self.next(out, Then::Stays, effort)
    }

    /// Copies the values that come out next to `out`, in that order, as many as there is room for; returns how many.
    pub(crate) fn copy_next(&self, out: &mut [Vec<u8>]) -> Result<usize, MapError> {
        for value in out.iter() {
            self.values.check_sink(value.as_slice())?;
        }
        let _locked = self.lock(Effort::UntilFree)?;
        let len = self.len();
        for (nth, value) in (0..len).zip(out.iter_mut()) {
            let age = match self.order() {
                Order::OldestFirst => nth,
                Order::YoungestFirst => len - 1 - nth,
            };
            let slot = self.slot(age);
            self.values
                .read(Place { copy: 0, slot }, value.as_mut_slice());
        }
        Ok(out.len().min(len as usize))
    }

    pub(crate) fn pop(
        &self,
        out: &mut (impl ValueSink + ?Sized),
        effort: Effort,
    ) -> Result<(), MapError> {
        self.next(out, Then::Leaves, effort)
    }
}

/// What programs do with queues, stacks and bloom filters.
impl Map {
    /// Adds a value to a queue or stack, or a member to a bloom filter (`bpf_map_push_elem`).
    ///
    /// When a queue or stack is full, [`Exist`](UpdateFlags::Exist) makes room by dropping the oldest value.
    ///
    /// # Errors
    ///
    /// [`Full`](MapError::Full), [`ValueLength`](MapError::ValueLength),
    /// [`WrongUpdateFlags`](MapError::WrongUpdateFlags) for [`NoExist`](UpdateFlags::NoExist) and, of a bloom filter, for
    /// [`Exist`](UpdateFlags::Exist), [`Forbidden`](MapError::Forbidden) if programs may not write,
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`Busy`](MapError::Busy).
    pub fn push(
        &self,
        _guard: &HitGuard,
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
    ) -> Result<(), MapError> {
        self.program_access().check_write(Operation::Push)?;
        match &self.store {
            Store::Queue(queue) => self.counted(queue.push(value, flags, Effort::Bounded)),
            Store::Bloom(bloom) => bloom.push(value, flags),
            _ => Err(self.unsupported(Operation::Push)),
        }
    }

    /// Takes the next value out of a queue or stack (`bpf_map_pop_elem`) and copies it to `out`, or zeroes.
    ///
    /// # Errors
    ///
    /// [`NotFound`](MapError::NotFound) when there is none, [`ValueLength`](MapError::ValueLength),
    /// [`Forbidden`](MapError::Forbidden) unless programs may read and write,
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`Busy`](MapError::Busy).
    pub fn pop(
        &self,
        _guard: &HitGuard,
        out: &mut (impl ValueSink + ?Sized),
    ) -> Result<(), MapError> {
        self.program_access().check_read()?;
        self.program_access().check_write(Operation::Pop)?;
        match &self.store {
            Store::Queue(queue) => self.counted(queue.pop(out, Effort::Bounded)),
            _ => Err(self.unsupported(Operation::Pop)),
        }
    }

    /// Copies the next value of a queue or stack to `out`, or zeroes, and leaves it there (`bpf_map_peek_elem`).
    ///
    /// For a bloom filter, [`contains`](Self::contains) is what this helper does.
    ///
    /// # Errors
    ///
    /// [`NotFound`](MapError::NotFound) when there is none, [`ValueLength`](MapError::ValueLength),
    /// [`Forbidden`](MapError::Forbidden) if programs may not read, [`Unsupported`](MapError::Unsupported) for other
    /// kinds, [`Busy`](MapError::Busy).
    pub fn peek(
        &self,
        _guard: &HitGuard,
        out: &mut (impl ValueSink + ?Sized),
    ) -> Result<(), MapError> {
        self.program_access().check_read()?;
        match &self.store {
            Store::Queue(queue) => self.counted(queue.peek(out, Effort::Bounded)),
            _ => Err(self.unsupported(Operation::Peek)),
        }
    }
}
