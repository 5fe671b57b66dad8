//! A map as a program refers to it.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use axebpf_maps::{Access, Arena, Map, MapKind};

/// The high bits of a map in a register; no address on any machine looks like this.
const HANDLE_TAG: u64 = 0x6d61_0000_0000_0000;

/// Counts bindings, so that a handle kept from an unloaded object matches none that came later.
static NEXT_GENERATION: AtomicU32 = AtomicU32::new(1);

/// Returns a number that no other map of any object has (until 2^32 of them were made).
pub(crate) fn next_generation() -> u32 {
    NEXT_GENERATION.fetch_add(1, Ordering::Relaxed)
}

/// One of the maps of a program, with what the program needs to know of it at run time.
#[derive(Clone, Debug)]
pub(crate) struct BoundMap {
    map: Arc<Map>,
    handle: u64,
    arena: Option<Arena>,
    access: Access,
}

impl BoundMap {
    /// Binds `map` as number `index` of a program.
    pub(crate) fn new(map: Arc<Map>, index: u16, generation: u32) -> Self {
        let handle = HANDLE_TAG | u64::from(generation) << 16 | u64::from(index);
        let arena = (map.kind() != MapKind::RingBuf).then(|| map.arena());
        let access = map.program_access();
        Self {
            map,
            handle,
            arena,
            access,
        }
    }

    /// Returns the map in `maps` that a register names, and its index.
    pub(crate) fn by_handle(maps: &[Self], value: u64) -> Option<usize> {
        let index = usize::from(value as u16);
        maps.get(index)
            .filter(|bound| bound.handle == value)
            .map(|_| index)
    }

    pub(crate) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    pub(crate) fn handle(&self) -> u64 {
        self.handle
    }

    /// Returns the memory of the map's values. The records of a ring buffer are none.
    pub(crate) fn arena(&self) -> Option<&Arena> {
        self.arena.as_ref()
    }

    /// Returns what the program may do with the values.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Returns the address of byte `offset` of the first value, if the map is an array.
    pub(crate) fn value(&self, offset: u32) -> Option<u64> {
        let arena = self
            .arena
            .as_ref()
            .filter(|_| self.map.kind() == MapKind::Array)?;
        let offset = offset as usize;
        // One past the end is where a pointer may point, too.
        (offset <= arena.value_size).then(|| (arena.base + offset) as u64)
    }
}
