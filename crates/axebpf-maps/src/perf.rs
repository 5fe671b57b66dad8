//! Perf event arrays: a queue of records for each CPU.
//!
//! Where Linux has an event that user space opened for each CPU, here each CPU has a [`RingBuf`] of
//! [`PERF_BUFFER_SIZE`] bytes from the start. So the protocol is that of [`ring`](crate::ring), but for that no two
//! CPUs ever want the same buffer; a record that finds no room is counted as dropped by its CPU's buffer.

use alloc::vec::Vec;

use axebpf_hit::HitGuard;
use axebpf_platform::CpuId;

use crate::map::Map;
use crate::ring::RingBuf;
use crate::store::Store;
use crate::value_source::ValueSource;
use crate::{MapError, MapSpec, PERF_BUFFER_SIZE, limits};

/// The index that stands for the executing CPU (`BPF_F_CURRENT_CPU`), which is also the mask of indexes.
const CURRENT_CPU: u64 = 0xffff_ffff;

/// The buffers of a perf event array, one for each CPU.
#[derive(Debug)]
pub struct PerfBuffers {
    rings: Vec<RingBuf>,
    /// The number of entries, some of which may be for CPUs that there are not.
    entries: u32,
}

impl PerfBuffers {
    pub(crate) fn new(spec: &MapSpec, cpus: u32) -> Result<Self, MapError> {
        let entries = match spec.max_entries {
            0 => cpus,
            entries => entries,
        };
        let buffers = entries.min(cpus);
        limits::check_total(u64::from(buffers) * RingBuf::bytes_for(PERF_BUFFER_SIZE))?;
        let mut rings = Vec::new();
        let count = buffers as usize;
        rings
            .try_reserve_exact(count)
            .map_err(|_| MapError::OutOfMemory {
                bytes: (count * size_of::<RingBuf>()) as u64,
            })?;
        for _ in 0..buffers {
            rings.push(RingBuf::new(PERF_BUFFER_SIZE)?);
        }
        Ok(Self { rings, entries })
    }

    pub(crate) fn memory(&self) -> u64 {
        self.rings.len() as u64 * RingBuf::bytes_for(PERF_BUFFER_SIZE)
    }

    /// Writes a record (`bpf_perf_event_output`). `flags` is the index of the executing CPU, or `BPF_F_CURRENT_CPU`.
    ///
    /// # Errors
    ///
    /// [`UnknownOperationFlags`](MapError::UnknownOperationFlags) for more than an index,
    /// [`IndexOutOfRange`](MapError::IndexOutOfRange), [`NotFound`](MapError::NotFound) when the entry has no buffer,
    /// [`OtherCpu`](MapError::OtherCpu); [`RecordTooLarge`](MapError::RecordTooLarge) and
    /// [`RingFull`](MapError::RingFull), which are counted as dropped.
    pub fn output(
        &self,
        guard: &HitGuard,
        flags: u64,
        data: &(impl ValueSource + ?Sized),
    ) -> Result<(), MapError> {
        if flags & !CURRENT_CPU != 0 {
            let known = CURRENT_CPU;
            return Err(MapError::UnknownOperationFlags { flags, known });
        }
        let current = guard.cpu().get();
        let index = match flags {
            CURRENT_CPU => current,
            index => index as u32,
        };
        if index >= self.entries {
            let limit = self.entries;
            return Err(MapError::IndexOutOfRange { index, limit });
        }
        let ring = self.ring(CpuId::new(index)).ok_or(MapError::NotFound)?;
        if index != current {
            let cpu = index;
            return Err(MapError::OtherCpu { cpu, current });
        }
        ring.output(guard, data)
    }

    /// Returns the buffer of `cpu`, if it has one: its consumer side and its counters.
    #[must_use]
    pub fn ring(&self, cpu: CpuId) -> Option<&RingBuf> {
        self.rings.get(cpu.get() as usize)
    }

    /// Iterates over the CPUs that have a buffer.
    pub fn rings(&self) -> impl Iterator<Item = (CpuId, &RingBuf)> {
        (0..).map(CpuId::new).zip(&self.rings)
    }

    /// Returns how many records found no room, on all CPUs together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.rings.iter().map(RingBuf::dropped).sum()
    }

    /// Consumes what has been written, CPU after CPU, and returns the number of records that `visit` got.
    ///
    /// Records of one CPU come in order; those of different CPUs do not.
    ///
    /// # Errors
    ///
    /// As [`RingBuf::consume`]; the buffers of further CPUs are then left as they are.
    pub fn consume(&self, mut visit: impl FnMut(CpuId, &[u8])) -> Result<usize, MapError> {
        self.rings().try_fold(0, |records, (cpu, ring)| {
            Ok(records + ring.consume(|record| visit(cpu, record))?)
        })
    }
}

impl Map {
    /// Returns the per-CPU buffers that this map consists of, if it is a perf event array.
    #[must_use]
    pub fn perf(&self) -> Option<&PerfBuffers> {
        match &self.store {
            Store::Perf(buffers) => Some(buffers),
            _ => None,
        }
    }
}
