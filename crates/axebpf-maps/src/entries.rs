//! Visiting the entries of a map in a hit.

use core::ops::Range;
use core::ptr::NonNull;

use axebpf_hit::HitGuard;

use crate::map::Map;
use crate::storage::{Place, Values};
use crate::store::Store;
use crate::{MapError, Operation};

/// An entry that a program visits. Returned by [`Map::entry_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The slot that it is in; the next entry is looked for in the one after it.
    pub slot: u32,
    /// The address of the live value; for per-CPU kinds, that of the executing CPU.
    pub value: NonNull<u8>,
}

impl Map {
    /// Returns the number of slots that entries can be in; 0 for kinds that have none.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.store.slots()
    }

    /// Finds the first entry in `slot` or after it, and copies its key to `key`, which has the map's key size
    /// (`bpf_for_each_map_elem`). Allocates nothing, takes no lock, and does not count as use.
    ///
    /// Passes at most all slots that are free. An entry that is there from the first slot to the last is found once,
    /// whatever others do to the map meanwhile; the address is as stable as that of a [lookup](Self::lookup).
    ///
    /// # Errors
    ///
    /// [`KeyLength`](MapError::KeyLength), [`Forbidden`](MapError::Forbidden) if programs may not read,
    /// [`Unsupported`](MapError::Unsupported) for kinds without values that programs can point to,
    /// [`NoSuchCpu`](MapError::NoSuchCpu).
    pub fn entry_from(
        &self,
        guard: &HitGuard,
        slot: u32,
        key: &mut [u8],
    ) -> Result<Option<Entry>, MapError> {
        self.entry_in(guard, slot..u32::MAX, key)
    }

    /// Finds the first entry in `slots`, as [`entry_from`](Self::entry_from), for who must not pass too many at a time.
    ///
    /// # Errors
    ///
    /// As [`entry_from`](Self::entry_from).
    pub fn entry_in(
        &self,
        guard: &HitGuard,
        slots: Range<u32>,
        key: &mut [u8],
    ) -> Result<Option<Entry>, MapError> {
        self.program_access().check_read()?;
        let (len, expected) = (key.len(), self.spec.key_size as usize);
        if len != expected {
            return Err(MapError::KeyLength { len, expected });
        }
        let values: &Values = match &self.store {
            Store::Array(array) => array.values(),
            Store::Hash(hash) => hash.values(),
            _ => return Err(self.unsupported(Operation::Iterate)),
        };
        let copy = values.copy_of(guard.cpu())?;
        for slot in slots.start..slots.end.min(self.store.slots()) {
            if self.store.key_of(slot, key)? {
                let value = values.address(Place { copy, slot });
                return Ok(Some(Entry { slot, value }));
            }
        }
        Ok(None)
    }
}
