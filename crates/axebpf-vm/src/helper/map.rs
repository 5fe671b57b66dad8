//! The helpers for maps of keys and values.

use core::ptr::NonNull;

use axebpf_maps::{MAX_KEY_SIZE, Map, MapError, UpdateFlags};
use axebpf_platform::CpuId;

use super::call::{HelperFault, Helpers};

impl<'r> Helpers<'r> {
    /// Copies a key of `map` into the scratch memory and returns its length.
    ///
    /// The map may hash the key more than once, so it must not be one that another CPU is changing.
    fn take_key(&mut self, map: &Map, addr: u64) -> Result<usize, HelperFault> {
        let len = map.spec().key_size as usize;
        const { assert!(MAX_KEY_SIZE as usize <= crate::memory::SCRATCH_BYTES) };
        self.charge(len as u64)?;
        self.memory.copy_out(addr, &mut self.scratch[..len])?;
        Ok(len)
    }

    /// `bpf_map_lookup_elem(map, key)`.
    pub(super) fn map_lookup(&mut self, args: [u64; 5]) -> Result<u64, HelperFault> {
        let [map, key, ..] = args;
        let index = self.map_index(1, map)?;
        let map = self.map(1, map)?;
        if map.kind().holds_maps() {
            let len = self.take_key(map, key)?;
            return Ok(self.inner_lookup(map, len));
        }
        let Some(value) = self.lookup(map, key)? else {
            return Ok(0);
        };
        let value = value.as_ptr().expose_provenance() as u64;
        self.memory.expect_value(index, value);
        Ok(value)
    }

    /// Looks the key at `addr` up, in place if no other CPU can be changing it. Counts an error.
    fn lookup(&mut self, map: &Map, addr: u64) -> Result<Option<NonNull<u8>>, HelperFault> {
        let len = map.spec().key_size as usize;
        self.charge(len as u64)?;
        let found = match self.memory.private(addr, len)? {
            Some(key) => map.lookup(self.guard, key),
            None => {
                self.memory.copy_out(addr, &mut self.scratch[..len])?;
                map.lookup(self.guard, &self.scratch[..len])
            }
        };
        Ok(found.unwrap_or_else(|_| {
            self.errors += 1;
            None
        }))
    }

    /// Looks the key in the scratch memory up in a map of maps; returns the map as a handle, or 0.
    fn inner_lookup(&mut self, map: &'r Map, key_len: usize) -> u64 {
        let found = map.inner(self.guard, &self.scratch[..key_len]);
        let handle = match found {
            Ok(None) => return 0,
            Ok(Some(inner)) => self.memory.bind_inner(inner.map),
            Err(_) => None,
        };
        handle.unwrap_or_else(|| {
            self.errors += 1;
            0
        })
    }

    /// `bpf_map_lookup_percpu_elem(map, key, cpu)`.
    pub(super) fn map_lookup_percpu(&mut self, args: [u64; 5]) -> Result<u64, HelperFault> {
        let [map, key, cpu, ..] = args;
        let map = self.map(1, map)?;
        let len = self.take_key(map, key)?;
        let cpu = CpuId::new(cpu as u32);
        match map.lookup_on(self.guard, &self.scratch[..len], cpu) {
            Ok(value) => Ok(value.map_or(0, |value| value.as_ptr().expose_provenance() as u64)),
            Err(_) => {
                self.errors += 1;
                Ok(0)
            }
        }
    }

    /// `bpf_map_update_elem(map, key, value, flags)`.
    pub(super) fn map_update(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [map, key, value, flags, _] = args;
        let map = self.map(1, map)?;
        let len = self.take_key(map, key)?;
        let value_size = map.spec().value_size.into();
        // A new entry of a per-CPU kind zeroes the values of the other CPUs.
        let copies = if map.kind().is_per_cpu() {
            map.cpus()
        } else {
            1
        };
        self.charge(u64::saturating_mul(value_size, copies.into()))?;
        let value = self.memory.bytes(value, value_size)?;
        let result = UpdateFlags::try_from(flags)
            .and_then(|flags| map.update(self.guard, &self.scratch[..len], &value, flags));
        Ok(errno(result))
    }

    /// `bpf_map_delete_elem(map, key)`.
    pub(super) fn map_delete(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [map, key, ..] = args;
        let map = self.map(1, map)?;
        let len = self.take_key(map, key)?;
        Ok(errno(map.delete(self.guard, &self.scratch[..len])))
    }
}

/// Returns what a program gets for the result of an operation.
pub(super) fn errno(result: Result<(), MapError>) -> i64 {
    result.map_or_else(|error| error.errno(), |()| 0)
}
