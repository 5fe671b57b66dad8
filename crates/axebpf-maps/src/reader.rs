//! What the management side does with a map: outside of hits, with allocation, and waiting where it must.

use alloc::vec::Vec;

use axebpf_hit::{HitGuard, Missed};

use crate::access::Access;
use crate::array::Array;
use crate::map::Map;
use crate::storage::table;
use crate::store::Store;
use crate::sync::{Effort, Ordering};
use crate::{Keys, MapError, MapStats, Operation, PerfBuffers, RingStats, UpdateFlags};

impl Map {
    /// Returns the bytes that [`read`](Self::read) returns and [`write`](Self::write) takes: the value, or for per-CPU
    /// kinds the values of all CPUs, each rounded up to 8. Zero for ring buffers and perf event arrays.
    #[must_use]
    pub fn entry_size(&self) -> usize {
        self.store.entry_size()
    }

    /// Returns a copy of the value of `key`, or `None` when there is none.
    ///
    /// For per-CPU kinds: the values of all CPUs, by number, each at a multiple of its size rounded up to 8. What
    /// a program stores through a pointer meanwhile is seen word by word.
    ///
    /// For a queue or stack, with an empty key: the value that would be taken out next. For a stack trace map: the
    /// frames, then zeroes. For what holds programs or maps, a number that identifies what is there, as Linux's ids do.
    ///
    /// # Errors
    ///
    /// [`KeyLength`](MapError::KeyLength), [`Forbidden`](MapError::Forbidden), [`Unsupported`](MapError::Unsupported),
    /// [`OutOfMemory`](MapError::OutOfMemory), and [`InHit`](MapError::InHit) if it had to wait in a hit.
    pub fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        let mut entry = table(self.entry_size(), || 0)?;
        Ok(self.read_into(key, &mut entry)?.then_some(entry))
    }

    /// Copies the value of `key` into `entry`, which has [`entry_size`](Self::entry_size) bytes; tells whether there
    /// is one. Allocates nothing.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ValueLength`](MapError::ValueLength).
    pub fn read_into(&self, key: &[u8], entry: &mut [u8]) -> Result<bool, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        let (len, expected) = (entry.len(), self.entry_size());
        if len != expected {
            return Err(MapError::ValueLength { len, expected });
        }
        match &self.store {
            Store::Array(array) => array.read(key, entry),
            Store::Hash(hash) => match hash.read(key, entry) {
                Err(MapError::Busy) => {
                    let _guard = enter()?;
                    hash.read_locked(key, entry)
                }
                read => read,
            },
            Store::Stacks(stacks) => {
                let _guard = enter()?;
                stacks.read(key, entry)
            }
            Store::Queue(queue) => {
                check_no_key(key)?;
                let _guard = enter()?;
                match queue.peek(entry, Effort::UntilFree) {
                    Err(MapError::NotFound) => Ok(false),
                    peeked => peeked.map(|()| true),
                }
            }
            Store::Programs(programs) => {
                copy_number(programs.slots().number(Array::index(key)?)?, entry)
            }
            Store::Maps(maps) => copy_number(maps.number(key)?, entry),
            Store::Ring(_) | Store::Perf(_) | Store::Bloom(_) => {
                Err(self.unsupported(Operation::Lookup))
            }
        }
    }

    /// Writes the value of `key`.
    ///
    /// For per-CPU kinds, `entry` has either the values of all CPUs as [`read`](Self::read) returns them, or one value
    /// that each CPU gets. With an empty key, it is pushed to a queue or stack, or made a member of a bloom filter. For
    /// what holds programs or maps there are [`write_program`](Self::write_program) and
    /// [`write_inner`](Self::write_inner).
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), but never [`Busy`](MapError::Busy); [`Forbidden`](MapError::Forbidden) also when
    /// the map is frozen; [`InHit`](MapError::InHit) in a hit and [`NoGuard`](MapError::NoGuard) without
    /// a platform, for hash kinds.
    pub fn write(&self, key: &[u8], entry: &[u8], flags: UpdateFlags) -> Result<(), MapError> {
        self.check_management_write(Operation::Update)?;
        match &self.store {
            Store::Array(array) => array.write(key, entry, flags),
            Store::Hash(hash) => {
                let _guard = enter()?;
                hash.write(key, entry, flags)
            }
            Store::Queue(queue) => {
                check_no_key(key)?;
                let _guard = enter()?;
                queue.push(entry, flags, Effort::UntilFree)
            }
            Store::Bloom(bloom) => {
                check_no_key(key)?;
                bloom.push(entry, flags)
            }
            _ => Err(self.unsupported(Operation::Update)),
        }
    }

    /// Deletes `key` and its value; a program or map that it was when no hit uses it any more.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete), but never [`Busy`](MapError::Busy); else as [`write`](Self::write).
    pub fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_management_write(Operation::Delete)?;
        match &self.store {
            Store::Hash(hash) => {
                let _guard = enter()?;
                hash.delete(key, Effort::UntilFree)
            }
            Store::Stacks(stacks) => {
                let _guard = enter()?;
                stacks.remove(key)
            }
            Store::Programs(programs) => programs.remove(key),
            Store::Maps(maps) => maps.remove(key),
            _ => Err(self.unsupported(Operation::Delete)),
        }
    }

    /// Returns copies of the values of a queue or stack, those that come out next first, `limit` at most.
    ///
    /// They are what is there at one moment, and stay. Probes on this CPU count as missed, and those on others find the
    /// map busy, while they are copied: keep `limit` small.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`Unsupported`](MapError::Unsupported) for all but queues and stacks.
    pub fn peek_all(&self, limit: usize) -> Result<Vec<Vec<u8>>, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        let Store::Queue(queue) = &self.store else {
            return Err(self.unsupported(Operation::Peek));
        };
        let mut values = table(limit.min(queue.len() as usize), Vec::new)?;
        for value in &mut values {
            *value = table(self.entry_size(), || 0)?;
        }
        let copied = {
            let _guard = enter()?;
            queue.copy_next(&mut values)?
        };
        values.truncate(copied);
        Ok(values)
    }

    /// Takes the value of `key` out, for the management side (`BPF_MAP_LOOKUP_AND_DELETE_ELEM`); `None` when there is
    /// none.
    ///
    /// With an empty key: the next value of a queue or stack. What is taken is whole, and nobody else gets it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read) and [`remove`](Self::remove), but never [`NotFound`](MapError::NotFound);
    /// [`Unsupported`](MapError::Unsupported) for all but hash kinds, queues and stacks.
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        self.check_management_write(Operation::Pop)?;
        let mut entry = table(self.entry_size(), || 0)?;
        let taken = match &self.store {
            Store::Queue(queue) => {
                check_no_key(key)?;
                let _guard = enter()?;
                queue.pop(entry.as_mut_slice(), Effort::UntilFree)
            }
            Store::Hash(hash) => {
                let _guard = enter()?;
                hash.take(key, &mut entry)
            }
            _ => Err(self.unsupported(Operation::Pop)),
        };
        match taken {
            Ok(()) => Ok(Some(entry)),
            Err(MapError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the key after `key`, or the first one for `None` and for a key that is not there; `None` after the
    /// last one (`BPF_MAP_GET_NEXT_KEY`).
    ///
    /// As in Linux, going on from a key that somebody deletes meanwhile starts again. [`keys`](Self::keys) does not.
    ///
    /// # Errors
    ///
    /// [`KeyLength`](MapError::KeyLength), [`Forbidden`](MapError::Forbidden), [`Unsupported`](MapError::Unsupported)
    /// for kinds without keys, [`OutOfMemory`](MapError::OutOfMemory), [`InHit`](MapError::InHit) if it had to wait in
    /// a hit.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        let slot = match &self.store {
            Store::Array(array) => array.slot_after(key)?,
            Store::Hash(hash) => match hash.slot_after(key) {
                Err(MapError::Busy) => {
                    let _guard = enter()?;
                    hash.slot_after_locked(key)?
                }
                slot => slot?,
            },
            Store::Stacks(stacks) => stacks.slot_after(key)?,
            Store::Programs(programs) => programs.slot_after(key)?,
            Store::Maps(maps) => maps.slot_after(key)?,
            Store::Ring(_) | Store::Perf(_) | Store::Queue(_) | Store::Bloom(_) => {
                return Err(self.unsupported(Operation::Iterate));
            }
        };
        Keys::from_slot(self, slot).next().transpose()
    }

    /// Iterates over the keys; over none for kinds without, or if the management side may not read.
    ///
    /// Each key that is there from beginning to end comes exactly once, whatever others do to the map meanwhile.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::from_slot(self, 0)
    }

    /// Goes on with an iteration from where another one [is](Keys::slot).
    #[must_use]
    pub fn keys_from(&self, slot: u32) -> Keys<'_> {
        Keys::from_slot(self, slot)
    }

    /// Takes the right to write from the management side, for good (`BPF_MAP_FREEZE`). Programs keep theirs.
    pub fn freeze(&self) {
        self.frozen.set();
    }

    /// Tells whether the map is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen.get()
    }

    /// Returns what has been counted so far.
    #[must_use]
    pub fn stats(&self) -> MapStats {
        MapStats {
            entries: self.entries(),
            evicted: match &self.store {
                Store::Hash(hash) => hash.evicted(),
                _ => 0,
            },
            busy: self.busy.load(Ordering::Relaxed),
            ring: self.ring().map(|ring| RingStats {
                dropped: ring.dropped(),
                abandoned: ring.abandoned(),
                positions: ring.positions(),
            }),
            lost: self.perf().map_or(0, PerfBuffers::dropped),
        }
    }

    fn entries(&self) -> Option<u32> {
        match &self.store {
            Store::Array(array) => Some(array.entries()),
            Store::Hash(hash) => Some(hash.len()),
            Store::Queue(queue) => Some(queue.len()),
            Store::Stacks(stacks) => Some(stacks.len()),
            Store::Programs(programs) => programs.slots().occupied().ok(),
            Store::Maps(maps) => maps.slots().occupied().ok(),
            Store::Ring(_) | Store::Perf(_) | Store::Bloom(_) => None,
        }
    }

    pub(crate) fn check_management_write(&self, operation: Operation) -> Result<(), MapError> {
        if self.frozen.get() {
            return Err(MapError::Forbidden { operation });
        }
        Access::of_management(self.spec.flags).check_write(operation)
    }
}

/// Refuses a key for a map that has none.
fn check_no_key(key: &[u8]) -> Result<(), MapError> {
    match key.len() {
        0 => Ok(()),
        len => Err(MapError::KeyLength { len, expected: 0 }),
    }
}

/// Copies the number of what a slot holds out; tells whether it holds anything.
fn copy_number(number: Option<u32>, entry: &mut [u8]) -> Result<bool, MapError> {
    if let Some(number) = number {
        entry.copy_from_slice(&number.to_ne_bytes());
    }
    Ok(number.is_some())
}

/// Enters this CPU's hit guard, without which nobody may wait for a lock that a hit can want.
pub(crate) fn enter() -> Result<HitGuard, MapError> {
    axebpf_hit::enter().map_err(|missed| match missed {
        Missed::Nested => MapError::InHit,
        missed => MapError::NoGuard { missed },
    })
}
