//! The traits of `kbpf-basic` over the maps of this crate.
//!
//! For a kernel whose helpers are those of `kbpf-basic` and which wants maps that a probe can use. `kbpf-basic` needs
//! an unstable compiler, so besides the feature `kbpf-basic` the compiler flag `--cfg axebpf_unstable` is needed.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;

use axebpf_platform::CpuId;
use kbpf_basic::map::{BpfCallBackFn, BpfMapCommonOps};
use kbpf_basic::{BpfError, BpfResult};

use crate::reader::enter;
use crate::storage::table;
use crate::{Map, MapError, MapKind, UpdateFlags};

/// A [`Map`] with the interface of `kbpf-basic`.
///
/// Its operations are those of programs: each enters a hit of its own, so within a hit they say `EBUSY`. A lookup
/// returns a copy of the value, since the interface has a slice where a program has a pointer: what is to change a
/// value in place goes through [`Map::lookup`].
#[derive(Debug)]
pub struct KbpfMap {
    map: Arc<Map>,
    /// The last value that was looked up: an entry, as the management side sees it.
    entry: Vec<u8>,
}

impl KbpfMap {
    /// Wraps `map`.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](MapError::OutOfMemory) when there is none for a copy of an entry.
    pub fn new(map: Arc<Map>) -> Result<Self, MapError> {
        let entry = table(map.entry_size(), || 0)?;
        Ok(Self { map, entry })
    }

    /// Returns the map.
    #[must_use]
    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// Copies the value of `key` on `cpu`, or on the executing CPU.
    fn copy_of(&mut self, key: &[u8], cpu: Option<CpuId>) -> Result<Option<&[u8]>, MapError> {
        let cpu = {
            let guard = enter()?;
            let cpu = cpu.unwrap_or(guard.cpu());
            // Notes the use, and checks what programs may do.
            if self.map.lookup_on(&guard, key, cpu)?.is_none() {
                return Ok(None);
            }
            cpu
        };
        if !self.map.read_into(key, &mut self.entry)? {
            return Ok(None);
        }
        let size = self.map.spec().value_size as usize;
        let at = if self.map.kind().is_per_cpu() {
            cpu.get() as usize * size.next_multiple_of(8)
        } else {
            0
        };
        Ok(self.entry.get(at..at + size))
    }
}

/// Returns the error of `kbpf-basic` with the same number.
fn linux(error: MapError) -> BpfError {
    match error.errno() {
        -1 => BpfError::EPERM,
        -2 => BpfError::ENOENT,
        -7 => BpfError::E2BIG,
        -11 => BpfError::EAGAIN,
        -12 => BpfError::ENOMEM,
        -16 => BpfError::EBUSY,
        -17 => BpfError::EEXIST,
        -95 | -524 => BpfError::EOPNOTSUPP,
        _ => BpfError::EINVAL,
    }
}

fn update_flags(flags: u64) -> BpfResult<UpdateFlags> {
    UpdateFlags::try_from(flags).map_err(linux)
}

impl BpfMapCommonOps for KbpfMap {
    fn lookup_elem(&mut self, key: &[u8]) -> BpfResult<Option<&[u8]>> {
        if matches!(self.map.kind(), MapKind::Queue | MapKind::Stack) {
            let there = self.map.read_into(key, &mut self.entry).map_err(linux)?;
            return Ok(there.then_some(self.entry.as_slice()));
        }
        self.copy_of(key, None).map_err(linux)
    }

    fn lookup_percpu_elem(&mut self, key: &[u8], cpu: u32) -> BpfResult<Option<&[u8]>> {
        self.copy_of(key, Some(CpuId::new(cpu))).map_err(linux)
    }

    fn update_elem(&mut self, key: &[u8], value: &[u8], flags: u64) -> BpfResult<()> {
        let flags = update_flags(flags)?;
        if matches!(self.map.kind(), MapKind::Queue | MapKind::Stack) {
            return self.map.write(key, value, flags).map_err(linux);
        }
        let guard = enter().map_err(linux)?;
        self.map.update(&guard, key, value, flags).map_err(linux)
    }

    fn delete_elem(&mut self, key: &[u8]) -> BpfResult<()> {
        let guard = enter().map_err(linux)?;
        self.map.delete(&guard, key).map_err(linux)
    }

    fn for_each_elem(&mut self, cb: BpfCallBackFn, ctx: *const u8, flags: u64) -> BpfResult<u32> {
        if flags != 0 {
            return Err(BpfError::EINVAL);
        }
        let map = Arc::clone(&self.map);
        let mut visited = 0;
        for key in map.keys() {
            let key = key.map_err(linux)?;
            // An entry that was deleted meanwhile is not there.
            let Some(value) = self.copy_of(&key, None).map_err(linux)? else {
                continue;
            };
            visited += 1;
            if cb(&key, value, ctx) != 0 {
                break;
            }
        }
        Ok(visited)
    }

    fn lookup_and_delete_elem(&mut self, key: &[u8], value: &mut [u8]) -> BpfResult<()> {
        let taken = self.map.take(key).map_err(linux)?;
        let taken = taken.ok_or(BpfError::ENOENT)?;
        let copy = value.get_mut(..taken.len()).ok_or(BpfError::EINVAL)?;
        copy.copy_from_slice(&taken);
        Ok(())
    }

    fn get_next_key(&self, key: Option<&[u8]>, next_key: &mut [u8]) -> BpfResult<()> {
        let next = self.map.next_key(key).map_err(linux)?;
        let next = next.ok_or(BpfError::ENOENT)?;
        if next.len() != next_key.len() {
            return Err(BpfError::EINVAL);
        }
        next_key.copy_from_slice(&next);
        Ok(())
    }

    fn push_elem(&mut self, value: &[u8], flags: u64) -> BpfResult<()> {
        let flags = update_flags(flags)?;
        let guard = enter().map_err(linux)?;
        self.map.push(&guard, value, flags).map_err(linux)
    }

    fn pop_elem(&mut self, value: &mut [u8]) -> BpfResult<()> {
        let guard = enter().map_err(linux)?;
        self.map.pop(&guard, value).map_err(linux)
    }

    fn peek_elem(&self, value: &mut [u8]) -> BpfResult<()> {
        let guard = enter().map_err(linux)?;
        self.map.peek(&guard, value).map_err(linux)
    }

    fn freeze(&self) -> BpfResult<()> {
        self.map.freeze();
        Ok(())
    }

    fn map_values_ptr_range(&self) -> BpfResult<Range<usize>> {
        if self.map.kind() != MapKind::Array {
            return Err(BpfError::EOPNOTSUPP);
        }
        let arena = self.map.arena();
        Ok(arena.base..arena.base + arena.len)
    }

    fn map_mem_usage(&self) -> BpfResult<usize> {
        usize::try_from(self.map.memory()).map_err(|_| BpfError::E2BIG)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
