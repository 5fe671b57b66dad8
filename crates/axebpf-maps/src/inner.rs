//! Maps of maps.
//!
//! # Protocol
//!
//! That of [`slots`](crate::slots). A hash of maps finds the slot of a key as [other hashes](crate::hash) do; the slot
//! of a removed key serves another one only after every hit that may have found it has ended, so a hit never gets the
//! map of another key.
//!
//! An inner map that was replaced or removed lives until the hits that found it have ended, and so do the
//! values that they point to.

use alloc::boxed::Box;
use alloc::sync::Arc;

use axebpf_hit::{HitGuard, Retired};

use crate::access::Access;
use crate::array::Array;
use crate::hash::{Table, WhenFull};
use crate::map::Map;
use crate::reader::enter;
use crate::slots::{Held, Slots, check_outside, reclaim};
use crate::store::Store;
use crate::sync::Effort;
use crate::{Difference, MapError, MapFlags, MapKind, MapSpec, Operation, UpdateFlags, limits};

/// A map that is a value of another map, as a hit finds it.
///
/// An engine that gives a program a handle makes it from `slot` and `generation`, with which
/// [`Map::inner_at`] finds the map again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InnerMap<'g> {
    /// The map, which lives at least as long as the hit.
    pub map: &'g Arc<Map>,
    /// The number of the slot that it is in.
    pub slot: u32,
    /// A number that nothing else in any slot has (until 2^32 were given); never 0.
    pub generation: u32,
}

/// How a key leads to a slot.
#[derive(Debug)]
enum Index {
    Number,
    Hash(Table),
}

#[derive(Debug)]
pub(crate) struct InnerMaps {
    index: Index,
    slots: Slots<Arc<Map>>,
    template: Arc<MapSpec>,
}

impl InnerMaps {
    pub(crate) fn new(spec: &MapSpec, seed: u64) -> Result<Self, MapError> {
        let kind = spec.kind;
        let template = spec.inner.clone().ok_or(MapError::Template { kind })?;
        limits::check_total(Self::bytes_for(spec))?;
        let index = if kind == MapKind::HashOfMaps {
            let seed = if spec.flags.contains(MapFlags::ZERO_SEED) {
                0
            } else {
                seed
            };
            let when_full = WhenFull::Refuse;
            Index::Hash(Table::new(
                spec.key_size,
                spec.max_entries,
                seed,
                when_full,
            )?)
        } else {
            Index::Number
        };
        Ok(Self {
            index,
            slots: Slots::new(spec.max_entries)?,
            template,
        })
    }

    /// Returns the bytes that such a map takes, the inner maps not included.
    pub(crate) fn bytes_for(spec: &MapSpec) -> u64 {
        let slots = u64::from(spec.max_entries) * Slots::<Arc<Map>>::SLOT;
        match spec.kind {
            MapKind::HashOfMaps => slots + Table::bytes_for(spec.key_size, spec.max_entries),
            _ => slots,
        }
    }

    pub(crate) fn slots(&self) -> &Slots<Arc<Map>> {
        &self.slots
    }

    /// Returns the slot of `key`. Called inside a hit guard.
    pub(crate) fn slot_of(&self, key: &[u8], effort: Effort) -> Result<Option<u32>, MapError> {
        match &self.index {
            Index::Number => Ok(Some(Array::index(key)?).filter(|&slot| slot < self.slots.len())),
            Index::Hash(table) => table.find(key, effort),
        }
    }

    /// Copies the key of `slot` out; tells whether there is one. Called outside of hits.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> Result<bool, MapError> {
        match &self.index {
            Index::Hash(table) => Ok(table.key_of(slot, key)),
            Index::Number => {
                key.copy_from_slice(&slot.to_ne_bytes());
                Ok(self.slots.number(slot)?.is_some())
            }
        }
    }

    fn check(&self, map: &Map) -> Result<(), MapError> {
        let (spec, template) = (map.spec(), &*self.template);
        let fixed = spec.kind == MapKind::Array && !template.flags.contains(MapFlags::INNER_MAP);
        let difference = if spec.kind != template.kind {
            Difference::Kind
        } else if spec.key_size != template.key_size {
            Difference::KeySize
        } else if spec.value_size != template.value_size {
            Difference::ValueSize
        } else if spec.flags != template.flags {
            Difference::Flags
        } else if fixed && spec.max_entries != template.max_entries {
            Difference::Entries
        } else {
            return Ok(());
        };
        Err(MapError::NotLikeTemplate { difference })
    }

    fn replace(
        &self,
        key: &[u8],
        map: Arc<Map>,
        flags: UpdateFlags,
    ) -> Result<Option<Arc<Map>>, MapError> {
        self.check(&map)?;
        check_outside()?;
        // Allocated before, and what is left of it freed after the guard.
        let mut next = Some(Held::new(map));
        match self.publish(key, &mut next, flags)? {
            Some(retired) => reclaim(retired),
            None => Ok(None),
        }
    }

    fn publish(
        &self,
        key: &[u8],
        next: &mut Option<Box<Held<Arc<Map>>>>,
        flags: UpdateFlags,
    ) -> Result<Option<Retired<Held<Arc<Map>>>>, MapError> {
        match &self.index {
            Index::Number => {
                if flags != UpdateFlags::Any {
                    let kind = MapKind::ArrayOfMaps;
                    return Err(MapError::WrongUpdateFlags { kind, flags });
                }
                let (index, limit) = (Array::index(key)?, self.slots.len());
                if index >= limit {
                    return Err(MapError::IndexOutOfRange { index, limit });
                }
                Ok(Some(self.slots.publish(index, next.take())))
            }
            Index::Hash(table) => {
                let mut retired = None;
                let _guard = enter()?;
                table.insert(key, flags, Effort::UntilFree, |slot, _| {
                    retired = Some(self.slots.publish(slot, next.take()));
                })?;
                Ok(retired)
            }
        }
    }

    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        check_outside()?;
        let Index::Hash(table) = &self.index else {
            let (index, limit) = (Array::index(key)?, self.slots.len());
            if index >= limit {
                return Err(MapError::IndexOutOfRange { index, limit });
            }
            let gone = reclaim(self.slots.publish(index, None))?;
            return gone.map(drop).ok_or(MapError::NotFound);
        };
        let slot = {
            let _guard = enter()?;
            table.detach(key, Effort::UntilFree, |_| ())?
        };
        // Nobody finds the slot any more; when this returns, no hit is left that has found it.
        reclaim(self.slots.publish(slot, None))?;
        table.release(slot);
        Ok(())
    }
}

/// Maps of maps.
impl Map {
    /// Returns the map that is the value of `key` in a map of maps (`bpf_map_lookup_elem`).
    ///
    /// It stays alive as long as the hit whatever becomes of the slot; its reference count is not touched.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](MapError::Unsupported) for other kinds, [`KeyLength`](MapError::KeyLength),
    /// [`Forbidden`](MapError::Forbidden) if programs may not read, [`Busy`](MapError::Busy).
    pub fn inner<'g>(
        &'g self,
        guard: &'g HitGuard,
        key: &[u8],
    ) -> Result<Option<InnerMap<'g>>, MapError> {
        self.program_access().check_read()?;
        let maps = self.inner_maps(Operation::Lookup)?;
        let slot = self.counted(maps.slot_of(key, Effort::Bounded))?;
        Ok(slot.and_then(|slot| maps.in_slot(guard, slot)))
    }

    /// Returns the map in `slot` of a map of maps, if it still is the one with this generation.
    ///
    /// A handle in a register is checked with this. It finds nothing after the slot was given another map, although
    /// the former one still is alive for the hits that found it: an engine that wants programs to go on with
    /// that one, as Linux does, keeps the [`InnerMap`] for the rest of the hit.
    #[must_use]
    #[inline]
    pub fn inner_at<'g>(
        &'g self,
        guard: &'g HitGuard,
        slot: u32,
        generation: u32,
    ) -> Option<InnerMap<'g>> {
        self.inner_maps(Operation::Lookup)
            .ok()?
            .in_slot(guard, slot)
            .filter(|inner| inner.generation == generation)
    }

    /// Returns the map that is the value of `key` in a map of maps, for keeping. For the management side.
    ///
    /// # Errors
    ///
    /// As [`inner`](Self::inner), but never [`Busy`](MapError::Busy); [`InHit`](MapError::InHit),
    /// [`NoGuard`](MapError::NoGuard).
    pub fn read_inner(&self, key: &[u8]) -> Result<Option<Arc<Map>>, MapError> {
        Access::of_management(self.spec.flags).check_read()?;
        let maps = self.inner_maps(Operation::Lookup)?;
        let guard = enter()?;
        let slot = maps.slot_of(key, Effort::UntilFree)?;
        Ok(slot
            .and_then(|slot| maps.in_slot(&guard, slot))
            .map(|inner| Arc::clone(inner.map)))
    }

    /// Makes `map` the value of `key` in a map of maps, for the management side; returns the one that was, when no
    /// hit uses it any more.
    ///
    /// # Errors
    ///
    /// [`NotLikeTemplate`](MapError::NotLikeTemplate); [`Unsupported`](MapError::Unsupported) for other kinds; for a hash
    /// what `flags` say, as for [`write`](Self::write); for an array
    /// [`WrongUpdateFlags`](MapError::WrongUpdateFlags) for all but [`Any`](UpdateFlags::Any), as in Linux; [`InHit`](MapError::InHit), [`NoGuard`](MapError::NoGuard). After
    /// [`Stuck`](MapError::Stuck) the new map is in place, and the former one is leaked.
    pub fn write_inner(
        &self,
        key: &[u8],
        map: Arc<Self>,
        flags: UpdateFlags,
    ) -> Result<Option<Arc<Self>>, MapError> {
        self.check_management_write(Operation::Update)?;
        self.inner_maps(Operation::Update)?.replace(key, map, flags)
    }

    fn inner_maps(&self, operation: Operation) -> Result<&InnerMaps, MapError> {
        match &self.store {
            Store::Maps(maps) => Ok(maps),
            _ => Err(self.unsupported(operation)),
        }
    }
}

impl InnerMaps {
    /// Returns the slot after that of `key`; anything unknown starts from 0. Called outside of hits.
    pub(crate) fn slot_after(&self, key: Option<&[u8]>) -> Result<u32, MapError> {
        let _guard = enter()?;
        let at = match key {
            Some(key) => self.slot_of(key, Effort::UntilFree)?,
            None => None,
        };
        Ok(at.map_or(0, |slot| slot + 1))
    }

    /// Returns the number of the map that is the value of `key`. Called outside of hits.
    pub(crate) fn number(&self, key: &[u8]) -> Result<Option<u32>, MapError> {
        let guard = enter()?;
        let slot = self.slot_of(key, Effort::UntilFree)?;
        Ok(slot
            .and_then(|slot| self.in_slot(&guard, slot))
            .map(|inner| inner.generation))
    }

    #[inline]
    fn in_slot<'g>(&'g self, guard: &'g HitGuard, slot: u32) -> Option<InnerMap<'g>> {
        self.slots.get(guard, slot).map(|held| InnerMap {
            map: &held.value,
            slot,
            generation: held.number,
        })
    }
}
