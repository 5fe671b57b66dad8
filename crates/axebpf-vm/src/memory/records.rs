//! The ring-buffer records that the program holds.
#![allow(unsafe_code)]

use super::region::Memory;
use super::window::Window;

/// The number of ring-buffer records that a program can hold reserved at a time.
pub(super) const MAX_RECORDS: usize = 8;

/// A ring-buffer record that the program has reserved and not given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    /// The index of the map among the program's.
    pub(crate) map: usize,
    pub(crate) addr: u64,
    pub(crate) len: u64,
}

impl Memory<'_> {
    /// Tells whether one more record can be held.
    pub(crate) fn can_hold_record(&self) -> bool {
        let full = |records: &[Option<_>; _]| records.iter().all(Option::is_some);
        !self.records.as_ref().is_some_and(full)
    }

    /// Makes a record accessible.
    ///
    /// # Safety
    ///
    /// The bytes of the record belong to the caller, their provenance is exposed, and they stay so until
    /// [`take_record`](Self::take_record) or [`take_any_record`](Self::take_any_record) returns the record.
    pub(crate) unsafe fn hold_record(&mut self, record: Reservation) {
        let records = self.records.get_or_insert([None; MAX_RECORDS]);
        if let Some(free) = records.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(record);
        }
    }

    /// Tells whether a record at `addr` is held.
    pub(crate) fn holds_record(&self, addr: u64) -> bool {
        self.held().any(|record| record.addr == addr)
    }

    /// Returns the range of the record that `addr` lies in.
    pub(super) fn find_record(&self, addr: u64) -> Option<Window> {
        self.held()
            .map(|record| Window {
                start: record.addr,
                len: record.len,
            })
            .find(|window| window.holds(addr, 1))
    }

    fn held(&self) -> impl Iterator<Item = &Reservation> {
        self.records.iter().flatten().flatten()
    }

    /// Makes the record at `addr` inaccessible and returns it.
    pub(crate) fn take_record(&mut self, addr: u64) -> Option<Reservation> {
        let slot = self
            .records
            .iter_mut()
            .flatten()
            .find(|slot| slot.is_some_and(|record| record.addr == addr))?;
        (self.readable, self.writable) = (Window::EMPTY, Window::EMPTY);
        slot.take()
    }

    /// Makes some record that is still held inaccessible and returns it.
    #[inline(always)]
    pub(crate) fn take_any_record(&mut self) -> Option<Reservation> {
        self.records.as_ref()?;
        let held = self.held().next()?.addr;
        self.take_record(held)
    }
}
