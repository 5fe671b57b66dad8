//! A map, and what hits do with it.

use alloc::string::String;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;

use axebpf_hit::HitGuard;
use axebpf_platform::CpuId;

use crate::access::{Access, Frozen};
use crate::ring::RingBuf;
use crate::storage::Arena;
use crate::store::Store;
use crate::sync::{AtomicU64, Effort, Ordering};
use crate::value_source::ValueSource;
use crate::{MapError, MapKind, MapSpec, Operation, UpdateFlags, limits};

/// An eBPF map.
///
/// All its memory is allocated by [`create`](Self::create), and given back when it is dropped: who drops it has made
/// sure that no program still holds a pointer into it (`axebpf_hit::quiesce`).
#[derive(Debug)]
pub struct Map {
    pub(crate) spec: MapSpec,
    pub(crate) store: Store,
    pub(crate) frozen: Frozen,
    /// How often a hit gave up on a lock.
    pub(crate) busy: AtomicU64,
    cpus: u32,
}

impl Map {
    /// Makes the map that `spec` describes, for the CPUs 0 to `cpus - 1`.
    ///
    /// # Errors
    ///
    /// [`MapError`] names the first thing in `spec` that is not possible, with the limit it breaks;
    /// [`OutOfMemory`](MapError::OutOfMemory) when there is no memory for it.
    pub fn create(spec: &MapSpec, cpus: u32) -> Result<Self, MapError> {
        limits::check(spec, cpus)?;
        let store = Store::new(spec, cpus, seed())?;
        let mut name = String::new();
        let bytes = spec.name.len() as u64;
        name.try_reserve(spec.name.len())
            .map_err(|_| MapError::OutOfMemory { bytes })?;
        name.push_str(&spec.name);
        let spec = MapSpec {
            name,
            inner: spec.inner.clone(),
            ..*spec
        };
        Ok(Self {
            spec,
            store,
            frozen: Frozen::new(),
            busy: AtomicU64::new(0),
            cpus,
        })
    }

    /// Returns what the map was made from.
    #[must_use]
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> MapKind {
        self.spec.kind
    }

    /// Returns the number of CPUs that the map was made for.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Returns what programs may do with the values.
    #[must_use]
    pub fn program_access(&self) -> Access {
        Access::of_programs(self.spec.flags)
    }

    /// Returns the memory that holds the values (of a ring buffer: the records), and nothing else.
    ///
    /// It stays where it is as long as the map exists. The arena of a ring buffer counts as one value; programs may
    /// access only the records that they have reserved. Empty for kinds to whose values there are no pointers: queues,
    /// stacks, stack traces, bloom filters, and those that hold programs, events or maps.
    #[must_use]
    pub fn arena(&self) -> Arena {
        self.store.arena()
    }

    /// Returns the bytes of memory that the map takes, bookkeeping included.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.store.memory(&self.spec)
    }

    /// Returns the ring buffer that this map is, if it is one.
    #[must_use]
    pub fn ring(&self) -> Option<&RingBuf> {
        match &self.store {
            Store::Ring(ring) => Some(ring),
            _ => None,
        }
    }

    /// Returns the address of the live value of `key`; for per-CPU kinds, that of the executing CPU.
    ///
    /// The value is shared with whoever else looks it up. Its address stays valid as long as the map, even when the
    /// key is deleted; the value may then be that of another key.
    ///
    /// # Errors
    ///
    /// [`KeyLength`](MapError::KeyLength) for a key that no entry can have,
    /// [`Forbidden`](MapError::Forbidden) if programs may not read, [`Unsupported`](MapError::Unsupported) for kinds
    /// without such values, [`Busy`](MapError::Busy) when other CPUs kept changing the entries near by.
    pub fn lookup(&self, guard: &HitGuard, key: &[u8]) -> Result<Option<NonNull<u8>>, MapError> {
        self.lookup_on(guard, key, guard.cpu())
    }

    /// Returns the address of the live value of `key` of another CPU (`bpf_map_lookup_percpu_elem`).
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup), and [`NoSuchCpu`](MapError::NoSuchCpu).
    pub fn lookup_on(
        &self,
        _guard: &HitGuard,
        key: &[u8],
        cpu: CpuId,
    ) -> Result<Option<NonNull<u8>>, MapError> {
        self.program_access().check_read()?;
        match &self.store {
            Store::Array(array) => array.lookup(key, array.values().copy_of(cpu)?),
            Store::Hash(hash) => self.counted(hash.lookup(key, hash.values().copy_of(cpu)?)),
            _ => Err(self.unsupported(Operation::Lookup)),
        }
    }

    /// Writes the value of `key`; for per-CPU kinds, that of the executing CPU.
    ///
    /// A value that exists is written over in place.
    ///
    /// # Errors
    ///
    /// What `flags` say ([`Exists`](MapError::Exists), [`NotFound`](MapError::NotFound)), and
    /// [`Full`](MapError::Full), [`IndexOutOfRange`](MapError::IndexOutOfRange), [`KeyLength`](MapError::KeyLength),
    /// [`ValueLength`](MapError::ValueLength), [`Forbidden`](MapError::Forbidden) if programs may not write,
    /// [`Unsupported`](MapError::Unsupported) for kinds without such values, [`Busy`](MapError::Busy).
    pub fn update(
        &self,
        guard: &HitGuard,
        key: &[u8],
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
    ) -> Result<(), MapError> {
        self.program_access().check_write(Operation::Update)?;
        let cpu = guard.cpu();
        match &self.store {
            Store::Array(array) => array.update(key, value, flags, array.values().copy_of(cpu)?),
            Store::Hash(hash) => {
                self.counted(hash.update(key, value, flags, hash.values().copy_of(cpu)?))
            }
            _ => Err(self.unsupported(Operation::Update)),
        }
    }

    /// Deletes `key` and its value; for per-CPU kinds, the values of all CPUs.
    ///
    /// # Errors
    ///
    /// [`NotFound`](MapError::NotFound), [`Unsupported`](MapError::Unsupported) for kinds whose entries always
    /// exist, [`KeyLength`](MapError::KeyLength), [`Forbidden`](MapError::Forbidden), [`Busy`](MapError::Busy).
    pub fn delete(&self, _guard: &HitGuard, key: &[u8]) -> Result<(), MapError> {
        self.program_access().check_write(Operation::Delete)?;
        match &self.store {
            Store::Hash(hash) => self.counted(hash.delete(key, Effort::Bounded)),
            _ => Err(self.unsupported(Operation::Delete)),
        }
    }

    pub(crate) fn unsupported(&self, operation: Operation) -> MapError {
        MapError::Unsupported {
            kind: self.spec.kind,
            operation,
        }
    }

    pub(crate) fn counted<T>(&self, result: Result<T, MapError>) -> Result<T, MapError> {
        if matches!(result, Err(MapError::Busy)) {
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

/// Returns a seed for the hash function that a program cannot easily know.
fn seed() -> u64 {
    static CREATED: AtomicUsize = AtomicUsize::new(0);
    let created = CREATED.fetch_add(1, core::sync::atomic::Ordering::Relaxed) as u64;
    let time = axebpf_hit::platform().map_or(0, |platform| platform.now_ns());
    time ^ created.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
