//! Program arrays: the targets of tail calls.
//!
//! What a program is, the user of this crate says: a slot holds an [`Arc`] of anything. The protocol is that of
//! [`slots`](crate::slots).
//!
//! A program that is in an array which it uses itself keeps both alive. Whoever gives up such an array empties it
//! first, as Linux does when the last reference from user space goes ([`Map::clear_programs`]).

use alloc::sync::Arc;
use core::any::Any;

use axebpf_hit::HitGuard;

use crate::access::Access;
use crate::array::Array;
use crate::map::Map;
use crate::slots::{Held, Slots, check_outside, reclaim};
use crate::store::Store;
use crate::{MapError, MapSpec, Operation, limits};

/// What a slot of a program array holds: whatever the user of this crate has programs as.
pub type ProgramHandle = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Programs(Slots<ProgramHandle>);

impl Programs {
    pub(crate) fn new(spec: &MapSpec) -> Result<Self, MapError> {
        limits::check_total(u64::from(spec.max_entries) * Slots::<ProgramHandle>::SLOT)?;
        Ok(Self(Slots::new(spec.max_entries)?))
    }

    pub(crate) fn slots(&self) -> &Slots<ProgramHandle> {
        &self.0
    }

    fn check(&self, index: u32) -> Result<(), MapError> {
        let limit = self.0.len();
        if index < limit {
            Ok(())
        } else {
            Err(MapError::IndexOutOfRange { index, limit })
        }
    }

    /// Replaces what is at `index`, and returns what was there when no hit uses it any more.
    fn replace(
        &self,
        index: u32,
        next: Option<ProgramHandle>,
    ) -> Result<Option<ProgramHandle>, MapError> {
        self.check(index)?;
        check_outside()?;
        reclaim(self.0.publish(index, next.map(Held::new)))
    }
}

/// Program arrays.
impl Map {
    /// Returns the program at `index` of a program array, for as long as the hit lasts (`bpf_tail_call`).
    ///
    /// It stays alive that long whatever becomes of the slot; its reference count is not touched.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`IndexOutOfRange`](MapError::IndexOutOfRange).
    #[inline]
    pub fn program<'g>(
        &'g self,
        guard: &'g HitGuard,
        index: u32,
    ) -> Result<Option<&'g ProgramHandle>, MapError> {
        let programs = self.programs(Operation::Lookup)?;
        programs.check(index)?;
        Ok(programs.0.get(guard, index).map(|held| &held.value))
    }

    /// Returns the program at `index` of a program array, for keeping. For the management side.
    ///
    /// # Errors
    ///
    /// As [`program`](Self::program), [`Forbidden`](MapError::Forbidden), [`InHit`](MapError::InHit),
    /// [`NoGuard`](MapError::NoGuard).
    pub fn read_program(&self, index: u32) -> Result<Option<ProgramHandle>, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        let programs = self.programs(Operation::Lookup)?;
        programs.check(index)?;
        programs.0.cloned(index)
    }

    /// Puts a program at `index` of a program array, for the management side; returns what was there, when no hit uses
    /// it any more.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`IndexOutOfRange`](MapError::IndexOutOfRange),
    /// [`Forbidden`](MapError::Forbidden), [`InHit`](MapError::InHit). After [`Stuck`](MapError::Stuck) the new program
    /// is in place, and the former one is leaked.
    pub fn write_program(
        &self,
        index: u32,
        program: ProgramHandle,
    ) -> Result<Option<ProgramHandle>, MapError> {
        self.check_management_write(Operation::Update)?;
        self.programs(Operation::Update)?
            .replace(index, Some(program))
    }

    /// Empties a program array, so that it keeps no program alive.
    ///
    /// This is not a write of the management side, but part of giving the map up: neither flags nor freezing forbid it.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`InHit`](MapError::InHit),
    /// [`Stuck`](MapError::Stuck).
    pub fn clear_programs(&self) -> Result<(), MapError> {
        let programs = self.programs(Operation::Delete)?;
        (0..programs.0.len()).try_for_each(|index| programs.replace(index, None).map(drop))
    }

    fn programs(&self, operation: Operation) -> Result<&Programs, MapError> {
        match &self.store {
            Store::Programs(programs) => Ok(programs),
            _ => Err(self.unsupported(operation)),
        }
    }
}

impl Programs {
    /// Returns the slot after that of `key`; anything unknown starts from 0.
    pub(crate) fn slot_after(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        let at = key.map(Array::index).transpose()?;
        let known = at.filter(|&slot| slot < self.0.len());
        Ok(known.map_or(0, |slot| slot + 1))
    }

    /// Empties the slot of `key`, as `BPF_MAP_DELETE_ELEM` does.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        match self.replace(Array::index(key)?, None)? {
            Some(_) => Ok(()),
            None => Err(MapError::NotFound),
        }
    }
}
