//! The helpers for maps without keys: queues, stacks, bloom filters, and per-CPU buffers of events.

use axebpf_maps::{MapKind, UpdateFlags, ValueSink};

use super::call::{HelperFault, Helpers};
use super::map::errno;
use crate::errno::{EINVAL, ENOENT};
use crate::memory::Memory;

impl<'r> Helpers<'r> {
    /// `bpf_map_push_elem(map, value, flags)`.
    pub(super) fn map_push(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [map, value, flags, ..] = args;
        let map = self.map(1, map)?;
        let size = map.spec().value_size.into();
        self.charge(size)?;
        let value = self.memory.bytes(value, size)?;
        let result =
            UpdateFlags::try_from(flags).and_then(|flags| map.push(self.guard, &value, flags));
        Ok(errno(result))
    }

    /// `bpf_map_pop_elem(map, value)`.
    pub(super) fn map_pop(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let map = self.map(1, args[0])?;
        let guard = self.guard;
        let mut to = self.destination(args[1], map.spec().value_size)?;
        Ok(errno(map.pop(guard, &mut to)))
    }

    /// `bpf_map_peek_elem(map, value)`; of a bloom filter, tells whether the value may be a member.
    pub(super) fn map_peek(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let map = self.map(1, args[0])?;
        if map.kind() == MapKind::BloomFilter {
            let size = map.spec().value_size.into();
            self.charge(size)?;
            let value = self.memory.bytes(args[1], size)?;
            return Ok(match map.contains(self.guard, &value) {
                Ok(true) => 0,
                Ok(false) => ENOENT,
                Err(error) => error.errno(),
            });
        }
        let guard = self.guard;
        let mut to = self.destination(args[1], map.spec().value_size)?;
        Ok(errno(map.peek(guard, &mut to)))
    }

    /// `bpf_perf_event_output(ctx, map, flags, data, size)`.
    pub(super) fn perf_event_output(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [_, map, flags, data, size] = args;
        let Some(buffers) = self.map(2, map)?.perf() else {
            return Ok(EINVAL);
        };
        self.charge(size)?;
        let data = self.memory.bytes(data, size)?;
        Ok(errno(buffers.output(self.guard, flags, &data)))
    }

    /// Returns the program's memory at `addr`, which must be writable, for a value of so many bytes.
    fn destination(&mut self, addr: u64, size: u32) -> Result<Destination<'_, 'r>, HelperFault> {
        self.charge(size.into())?;
        if size != 0 {
            self.memory.check_writable(addr, size.into())?;
        }
        Ok(Destination {
            memory: &mut self.memory,
            addr,
            len: size as usize,
        })
    }
}

/// Memory of the program that a value goes to.
struct Destination<'m, 'r> {
    memory: &'m mut Memory<'r>,
    addr: u64,
    len: usize,
}

impl ValueSink for Destination<'_, '_> {
    fn byte_len(&self) -> usize {
        self.len
    }

    fn put(&mut self, index: usize, word: u64) {
        let start = index.saturating_mul(8);
        let rest = self.len.saturating_sub(start).min(8);
        let bytes = word.to_ne_bytes();
        // All of the destination was checked, so that this cannot fail.
        let _ = self
            .memory
            .copy_in(self.addr + start as u64, &bytes[..rest]);
    }
}
