//! Hash tables and per-CPU hash tables, those that forget what was not used for a while among them.
//!
//! # Protocol
//!
//! All entries exist from the creation on, as *nodes*: node `n` owns slot `n` of the arena and row `n` of the keys. A
//! node is in the chain of one bucket, or in the [free list](free), or between the two in the hands of one CPU.
//!
//! - **Changing** a chain, or a value through [`update`](Hash::update), needs the bucket's lock. Hits try for it a
//!   bounded number of times; the management side waits for it inside its own hit guard. The lock is held for one walk
//!   and one copy.
//! - **Looking up** takes no lock: it walks between two looks at the bucket's sequence counter, which is odd while the
//!   chain changes, and starts again when the counter moved. After a bounded number of starts it takes the lock.
//!   A walk that gets lost, because a node was removed and reused under it, ends after a bounded number of steps; what
//!   it found is then thrown away.
//! - **An update of an existing key** writes over the value in place, so a pointer from a lookup keeps showing the live
//!   value. (Linux exchanges the slot; its pointers then show the old value, which is reused for another key.)
//! - **A deleted entry's slot** is reused for a later key at once, as in Linux. A program that still holds a pointer
//!   into it reads and writes that key's value.
//! - **Reading** from the management side takes no lock either: each node's *state* counts its lives and the
//!   updates of its value, and a copy counts only if the state was the same before and after it. So it is whole with
//!   respect to updates and deletions; stores through a pointer are whole by word only.
//! - **A full table** refuses a new key, or, if its kind forgets, takes the node of an entry that the [clock](clock)
//!   chooses. The node leaves its chain under that chain's lock, which is tried once, before the new key's lock is
//!   taken again; what somebody inserted in between wins. So no two locks are ever held at once.
//! - **Iterating** goes by slot. A key that is there all the time is seen exactly once; one that comes or goes
//!   meanwhile may be seen or not.

mod clock;
mod free;
mod function;
mod node;
mod table;

use core::ptr::NonNull;

pub(crate) use crate::hash::function::hash_words;
pub(crate) use crate::hash::table::Table;
#[cfg(all(test, loom))]
pub(crate) use crate::hash::{free::FreeList, node::Node};
use crate::storage::{Copies, Place, Values};
use crate::sync::Effort;
use crate::value_source::ValueSource;
use crate::{MapError, MapFlags, MapKind, MapSpec, UpdateFlags, limits};

#[derive(Debug)]
pub(crate) struct Hash {
    table: Table,
    values: Values,
}

impl Hash {
    pub(crate) fn new(spec: &MapSpec, copies: Copies, seed: u64) -> Result<Self, MapError> {
        let values = Values::bytes_for(spec.value_size, spec.max_entries, copies);
        limits::check_total(values.saturating_add(Self::bookkeeping_for(spec)))?;
        let seed = if spec.flags.contains(MapFlags::ZERO_SEED) {
            0
        } else {
            seed
        };
        Ok(Self {
            table: Table::new(
                spec.key_size,
                spec.max_entries,
                seed,
                WhenFull::of(spec.kind),
            )?,
            values: Values::new(spec.value_size, spec.max_entries, copies)?,
        })
    }

    /// Returns the bytes that the hash takes besides its values.
    pub(crate) fn bookkeeping_for(spec: &MapSpec) -> u64 {
        let marks = match WhenFull::of(spec.kind) {
            WhenFull::Refuse => 0,
            WhenFull::Forget => u64::from(spec.max_entries),
        };
        Table::bytes_for(spec.key_size, spec.max_entries) + marks
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    #[cfg(all(test, loom))]
    pub(crate) fn share_chain(&self, key: &[u8], other: &[u8]) -> bool {
        self.table.share_chain(key, other)
    }

    pub(crate) fn len(&self) -> u32 {
        self.table.len()
    }

    pub(crate) fn lookup(&self, key: &[u8], copy: u32) -> Result<Option<NonNull<u8>>, MapError> {
        let slot = self.table.find(key, Effort::Bounded)?;
        Ok(slot.map(|slot| {
            self.table.touch(slot);
            self.values.address(Place { copy, slot })
        }))
    }

    /// Writes the value of `key` in `copy`; the other copies of a new entry are zero.
    pub(crate) fn update(
        &self,
        key: &[u8],
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
        copy: u32,
    ) -> Result<(), MapError> {
        self.values.check_value(value)?;
        self.table
            .insert(key, flags, Effort::Bounded, |slot, novelty| {
                if novelty == Novelty::Inserted {
                    self.values.zero_others(slot, copy);
                }
                self.values.write(Place { copy, slot }, value, 0);
            })
    }

    /// Writes all copies of the value of `key`. Called inside a hit guard.
    pub(crate) fn write(
        &self,
        key: &[u8],
        entry: &[u8],
        flags: UpdateFlags,
    ) -> Result<(), MapError> {
        self.values.check_entry(entry)?;
        self.table.insert(key, flags, Effort::UntilFree, |slot, _| {
            self.values.write_entry(slot, entry)
        })
    }

    pub(crate) fn delete(&self, key: &[u8], effort: Effort) -> Result<(), MapError> {
        let node = self.table.detach(key, effort, |_| ())?;
        self.table.release(node);
        Ok(())
    }

    /// Copies the entry of `key` out and deletes it, as one. Called inside a hit guard.
    pub(crate) fn take(&self, key: &[u8], entry: &mut [u8]) -> Result<(), MapError> {
        let copy = |slot| self.values.read_entry(slot, entry);
        let node = self.table.detach(key, Effort::UntilFree, copy)?;
        self.table.release(node);
        Ok(())
    }

    /// Returns how many entries made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    /// Copies the entry of `key` out without a lock; tells whether there is one.
    ///
    /// # Errors
    ///
    /// `Busy` when it kept changing.
    pub(crate) fn read(&self, key: &[u8], entry: &mut [u8]) -> Result<bool, MapError> {
        self.table
            .read(key, |slot| self.values.read_entry(slot, entry))
    }

    /// Copies the entry of `key` out under the lock; tells whether there is one. Called inside a hit guard.
    pub(crate) fn read_locked(&self, key: &[u8], entry: &mut [u8]) -> Result<bool, MapError> {
        self.table
            .read_locked(key, |slot| self.values.read_entry(slot, entry))
    }

    /// Returns the slot after that of `key`, or the first one when there is no such key, as in Linux.
    pub(crate) fn slot_after(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        let at = match key {
            Some(key) => self.table.find_unlocked(key)?,
            None => None,
        };
        Ok(at.map_or(0, |slot| slot + 1))
    }

    /// The same under the lock. Called inside a hit guard.
    pub(crate) fn slot_after_locked(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        let at = match key {
            Some(key) => self.table.find(key, Effort::UntilFree)?,
            None => None,
        };
        Ok(at.map_or(0, |slot| slot + 1))
    }

    /// Copies the key in `slot` out; tells whether there is one.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> bool {
        self.table.key_of(slot, key)
    }

    pub(crate) fn slots(&self) -> u32 {
        self.table.capacity()
    }
}

/// What a table does with a new key when it has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It refuses the key.
    Refuse,
    /// It forgets an entry that was not used for a while.
    Forget,
}

impl WhenFull {
    fn of(kind: MapKind) -> Self {
        match kind {
            MapKind::LruHash | MapKind::LruPerCpuHash => Self::Forget,
            _ => Self::Refuse,
        }
    }
}

/// Whether an update found its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// The entry is new.
    Inserted,
    /// It was there.
    Replaced,
}
