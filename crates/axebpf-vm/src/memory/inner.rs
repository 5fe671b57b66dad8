//! The maps of the program, and those that it finds in them.

use core::ptr;

use axebpf_maps::Map;

use super::region::Memory;
use super::window::Window;
use crate::bound_map::BoundMap;

/// The number of maps that a run can find in others.
pub(super) const MAX_INNER: usize = 8;

/// The high bits of an inner map in a register; no address on any machine looks like this.
const INNER_TAG: u64 = 0x6d62_0000_0000_0000;

/// Returns what names an inner map in a register: where it is in the run's table, and which one it is, so that a
/// handle that was kept from another run is not taken for another map.
fn inner_handle(index: usize, map: &Map) -> u64 {
    let which = (map as *const Map).addr() as u64 >> 4 & 0xff_ffff_ffff;
    INNER_TAG | which << 8 | index as u64
}

impl<'r> Memory<'r> {
    /// Goes on with the maps of another program.
    pub(crate) fn switch_maps(&mut self, maps: &'r [BoundMap]) {
        self.maps = maps;
        (self.readable, self.writable) = (Window::EMPTY, Window::EMPTY);
    }

    /// Returns the program's maps.
    pub(crate) fn maps(&self) -> &'r [BoundMap] {
        self.maps
    }

    /// Makes a map that is the value of another one accessible, and returns its handle.
    ///
    /// `None` when the run has as many already as it can.
    pub(crate) fn bind_inner(&mut self, map: &'r Map) -> Option<u64> {
        let inner = self.inner.get_or_insert([None; MAX_INNER]);
        let mut inner = inner.iter_mut().enumerate();
        let (index, slot) = inner.find(|(_, slot)| slot.is_none_or(|known| ptr::eq(known, map)))?;
        *slot = Some(map);
        Some(inner_handle(index, map))
    }

    /// Returns the index of the inner map that a register names; it follows those of the program's maps.
    pub(crate) fn inner_by_handle(&self, value: u64) -> Option<usize> {
        let index = usize::from(value as u8);
        let map = self.inner_at(index)?;
        (inner_handle(index, map) == value).then_some(self.maps.len() + index)
    }

    /// Returns the map with that index, of the program's or an inner one.
    pub(crate) fn map_at(&self, index: usize) -> Option<&'r Map> {
        match self.maps.get(index) {
            Some(bound) => Some(bound.map()),
            None => self.inner_at(index.checked_sub(self.maps.len())?),
        }
    }

    /// Returns the handle of the map with that index.
    pub(crate) fn handle_of(&self, index: usize) -> Option<u64> {
        if let Some(bound) = self.maps.get(index) {
            return Some(bound.handle());
        }
        let inner = index.checked_sub(self.maps.len())?;
        Some(inner_handle(inner, self.inner_at(inner)?))
    }

    /// Visits the maps that were found in others.
    pub(super) fn inner_maps(&self) -> impl Iterator<Item = &'r Map> {
        self.inner.iter().flatten().flatten().copied()
    }

    fn inner_at(&self, index: usize) -> Option<&'r Map> {
        *self.inner.as_ref()?.get(index)?
    }
}
