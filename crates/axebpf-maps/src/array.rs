//! Arrays and per-CPU arrays.
//!
//! # Protocol
//!
//! The entries of an array all exist from the start, so there is nothing to lock: every operation is one bounds check
//! and relaxed word copies. As in Linux, two writers of one value at once leave a mixture of words of both, and a
//! reader beside a writer may see one. A copy of a per-CPU array is written by its CPU, in a hit, and by the
//! management side.

use core::ptr::NonNull;

use crate::storage::{Copies, Place, Values};
use crate::value_source::ValueSource;
use crate::{MapError, MapSpec, UpdateFlags, limits};

#[derive(Debug)]
pub(crate) struct Array {
    values: Values,
    entries: u32,
}

impl Array {
    pub(crate) fn new(spec: &MapSpec, copies: Copies) -> Result<Self, MapError> {
        limits::check_total(Values::bytes_for(spec.value_size, spec.max_entries, copies))?;
        let values = Values::new(spec.value_size, spec.max_entries, copies)?;
        Ok(Self {
            values,
            entries: spec.max_entries,
        })
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn index(key: &[u8]) -> Result<u32, MapError> {
        match key.try_into() {
            Ok(index) => Ok(u32::from_ne_bytes(index)),
            Err(_) => Err(MapError::KeyLength {
                len: key.len(),
                expected: size_of::<u32>(),
            }),
        }
    }

    fn slot_to_write(&self, key: &[u8], flags: UpdateFlags) -> Result<u32, MapError> {
        let index = Self::index(key)?;
        if index >= self.entries {
            return Err(MapError::IndexOutOfRange {
                index,
                limit: self.entries,
            });
        }
        if flags == UpdateFlags::NoExist {
            return Err(MapError::Exists);
        }
        Ok(index)
    }

    fn slot(&self, key: &[u8]) -> Result<Option<u32>, MapError> {
        let index = Self::index(key)?;
        Ok((index < self.entries).then_some(index))
    }

    pub(crate) fn lookup(&self, key: &[u8], copy: u32) -> Result<Option<NonNull<u8>>, MapError> {
        Ok(self
            .slot(key)?
            .map(|slot| self.values.address(Place { copy, slot })))
    }

    pub(crate) fn update(
        &self,
        key: &[u8],
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
        copy: u32,
    ) -> Result<(), MapError> {
        self.values.check_value(value)?;
        let slot = self.slot_to_write(key, flags)?;
        self.values.write(Place { copy, slot }, value, 0);
        Ok(())
    }

    pub(crate) fn write(
        &self,
        key: &[u8],
        entry: &[u8],
        flags: UpdateFlags,
    ) -> Result<(), MapError> {
        self.values.check_entry(entry)?;
        self.values
            .write_entry(self.slot_to_write(key, flags)?, entry);
        Ok(())
    }

    /// Copies the entry of `key` out; tells whether there is one.
    pub(crate) fn read(&self, key: &[u8], entry: &mut [u8]) -> Result<bool, MapError> {
        let slot = self.slot(key)?;
        if let Some(slot) = slot {
            self.values.read_entry(slot, entry);
        }
        Ok(slot.is_some())
    }

    /// Returns the slot after that of `key`, as Linux goes through an array: anything unknown starts from 0.
    pub(crate) fn slot_after(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        let at = match key {
            Some(key) => self.slot(key)?,
            None => None,
        };
        Ok(at.map_or(0, |slot| slot + 1))
    }

    /// Copies the key of `slot` out; tells whether there is one.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> bool {
        key.copy_from_slice(&slot.to_ne_bytes());
        slot < self.entries
    }

    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }
}
