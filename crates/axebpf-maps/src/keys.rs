//! Iterating over the keys of a map.

use alloc::vec::Vec;

use crate::MapError;
use crate::access::Access;
use crate::map::Map;
use crate::storage::table;

/// Iterates over the keys of a map by slot, which makes it indifferent to what others do to the map meanwhile.
///
/// Returned by [`Map::keys`].
#[derive(Debug)]
pub struct Keys<'a> {
    map: &'a Map,
    slot: u32,
}

impl<'a> Keys<'a> {
    pub(crate) fn from_slot(map: &'a Map, slot: u32) -> Self {
        Self { map, slot }
    }

    /// Returns where the iteration is, for [`Map::keys_from`].
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Copies the next key into `key`, which has the map's key size; tells whether there was one. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`KeyLength`](MapError::KeyLength); for what holds programs or maps also [`InHit`](MapError::InHit) and
    /// [`NoGuard`](MapError::NoGuard).
    pub fn next_into(&mut self, key: &mut [u8]) -> Result<bool, MapError> {
        let (len, expected) = (key.len(), self.map.spec().key_size as usize);
        if len != expected {
            return Err(MapError::KeyLength { len, expected });
        }
        if !Access::of_management(self.map.spec().flags).can_read() {
            return Ok(false);
        }
        let slots = self.map.store.slots();
        while self.slot < slots {
            let slot = self.slot;
            self.slot += 1;
            let found = self.map.store.key_of(slot, key)?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Iterator for Keys<'_> {
    type Item = Result<Vec<u8>, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut key = match table(self.map.spec().key_size as usize, || 0) {
            Ok(key) => key,
            Err(error) => return Some(Err(error)),
        };
        match self.next_into(&mut key) {
            Ok(true) => Some(Ok(key)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
