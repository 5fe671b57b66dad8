//! Where values live: the arena, its slots, and copying in and out of them.
//!
//! An arena is one allocation of 64-byte lines, zeroed when it is made and given back when the map is dropped. It
//! holds nothing but values (a ring buffer: nothing but records), and a value never moves.
//!
//! # Shared values
//!
//! A value is memory that programs on several CPUs read and write at any time, with loads, stores and atomic
//! instructions of any size. This crate touches it only with relaxed 64-bit atomic accesses, one for each word, so it
//! adds no data race to those that a program makes. A copy is whole for each aligned word, not for the value. Which
//! copies are whole nevertheless is said in [`array`](crate::array) and [`hash`](crate::hash).

use alloc::vec::Vec;
use core::ptr::NonNull;

use axebpf_platform::CpuId;

use crate::sync::{AtomicU64, Ordering};
use crate::{MapError, ValueSink, ValueSource};

const LINE_WORDS: usize = 8;
const WORD: usize = 8;

/// A cache line of words, so that slots can be kept on lines of their own.
#[derive(Debug)]
#[repr(C, align(64))]
struct Line([AtomicU64; LINE_WORDS]);

/// Makes a table of `len` elements, or says that there is no memory for it.
pub(crate) fn table<T>(len: usize, make: impl FnMut() -> T) -> Result<Vec<T>, MapError> {
    let mut table = Vec::new();
    if table.try_reserve_exact(len).is_err() {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        return Err(MapError::OutOfMemory { bytes });
    }
    table.resize_with(len, make);
    Ok(table)
}

/// Copies words out to bytes; the last word may be cut.
#[inline]
pub(crate) fn copy_out(out: &mut [u8], mut word: impl FnMut(usize) -> u64) {
    for (index, bytes) in out.chunks_mut(WORD).enumerate() {
        bytes.copy_from_slice(&word(index).to_ne_bytes()[..bytes.len()]);
    }
}

/// One allocation of zeroed words at a stable address, aligned to 64 bytes.
#[derive(Debug)]
pub(crate) struct Words(Vec<Line>);

impl Words {
    /// Allocates at least `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Result<Self, MapError> {
        let lines = bytes.div_ceil(LINE_WORDS * WORD);
        Ok(Self(table(lines, || {
            Line(core::array::from_fn(|_| AtomicU64::new(0)))
        })?))
    }

    #[inline]
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        &self.0[index / LINE_WORDS].0[index % LINE_WORDS]
    }

    /// Returns the address of the byte at `offset`, with the right to access the whole allocation.
    #[inline]
    pub(crate) fn address(&self, offset: usize) -> NonNull<u8> {
        let base = NonNull::from(self.0.as_slice()).cast::<u8>();
        base.map_addr(|base| base.saturating_add(offset))
    }

    /// Returns the address of the first byte, and exposes its provenance: who knows the address may make a pointer.
    pub(crate) fn expose(&self) -> usize {
        self.address(0).as_ptr().expose_provenance()
    }

    #[inline]
    pub(crate) fn byte_len(&self) -> usize {
        self.0.len() * LINE_WORDS * WORD
    }
}

/// Tells an engine which memory belongs to the values of a map.
///
/// A value starts at each multiple of `stride` from `base`; the bytes between `value_size` and `stride` belong to
/// nobody, as do the slots after the last entry of each copy of a per-CPU kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arena {
    /// The address of the first value; aligned to 64. Its provenance, for the whole arena, is exposed.
    pub base: usize,
    /// The length in bytes.
    pub len: usize,
    /// Bytes from one value to the next: `value_size` rounded up to 8.
    pub stride: usize,
    /// Bytes that belong to each value.
    pub value_size: usize,
}

impl Arena {
    /// The arena of a map whose values programs cannot point to.
    pub(crate) const NONE: Self = Self {
        base: 0,
        len: 0,
        stride: WORD,
        value_size: 0,
    };

    /// Tells whether the `len` bytes at `addr` lie within one value.
    #[must_use]
    pub fn allows(&self, addr: usize, len: usize) -> bool {
        let offset = addr.wrapping_sub(self.base);
        offset < self.len && {
            let within = offset % self.stride;
            within < self.value_size && len <= self.value_size - within
        }
    }

    /// Returns the address of the value that `addr` lies in, or `None` when it lies in none.
    #[must_use]
    pub fn value_at(&self, addr: usize) -> Option<usize> {
        self.allows(addr, 1)
            .then(|| addr - (addr - self.base) % self.stride)
    }
}

/// Where a value is: the copy (a CPU's, for per-CPU kinds, else 0) and the slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) copy: u32,
    pub(crate) slot: u32,
}

/// How many copies of each value a map has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// One, for all CPUs.
    Shared,
    /// One for each of so many CPUs.
    PerCpu(u32),
}

impl Copies {
    fn count(self) -> u32 {
        match self {
            Self::Shared => 1,
            Self::PerCpu(cpus) => cpus,
        }
    }
}

/// The values of a map: for each copy, a row of slots.
#[derive(Debug)]
pub(crate) struct Values {
    words: Words,
    value_size: usize,
    stride: usize,
    /// Slots from one copy to the next, chosen such that no two copies share a cache line.
    row: usize,
    copies: Copies,
}

impl Values {
    /// Returns the bytes that `slots` values of `value_size` bytes take in each of `copies` copies.
    pub(crate) fn bytes_for(value_size: u32, slots: u32, copies: Copies) -> u64 {
        Self::stride_for(value_size) as u64
            * Self::row_for(value_size, slots)
            * u64::from(copies.count())
    }

    fn stride_for(value_size: u32) -> usize {
        (value_size as usize).next_multiple_of(WORD)
    }

    fn row_for(value_size: u32, slots: u32) -> u64 {
        let words = Self::stride_for(value_size) / WORD;
        let shared = 1 << words.trailing_zeros().min(LINE_WORDS.trailing_zeros());
        u64::from(slots).next_multiple_of((LINE_WORDS / shared) as u64)
    }

    /// Allocates them. The caller has checked that `bytes_for` is within the limits.
    pub(crate) fn new(value_size: u32, slots: u32, copies: Copies) -> Result<Self, MapError> {
        Ok(Self {
            words: Words::new(Self::bytes_for(value_size, slots, copies) as usize)?,
            value_size: value_size as usize,
            stride: Self::stride_for(value_size),
            row: Self::row_for(value_size, slots) as usize,
            copies,
        })
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.words.byte_len()
    }

    pub(crate) fn arena(&self) -> Arena {
        let base = self.words.expose();
        let len = self.words.byte_len();
        Arena {
            base,
            len,
            stride: self.stride,
            value_size: self.value_size,
        }
    }

    /// Returns the number of the copy that `cpu` uses.
    #[inline]
    pub(crate) fn copy_of(&self, cpu: CpuId) -> Result<u32, MapError> {
        match self.copies {
            Copies::Shared => Ok(0),
            Copies::PerCpu(limit) if cpu.get() < limit => Ok(cpu.get()),
            Copies::PerCpu(limit) => Err(MapError::NoSuchCpu {
                cpu: cpu.get(),
                limit,
            }),
        }
    }

    /// Returns the bytes of one entry as the management side sees it: the value, or all copies at their stride.
    pub(crate) fn entry_size(&self) -> usize {
        match self.copies {
            Copies::Shared => self.value_size,
            Copies::PerCpu(cpus) => self.stride * cpus as usize,
        }
    }

    #[inline]
    fn offset(&self, at: Place) -> usize {
        (at.copy as usize * self.row + at.slot as usize) * self.stride
    }

    #[inline]
    pub(crate) fn address(&self, at: Place) -> NonNull<u8> {
        self.words.address(self.offset(at))
    }

    /// Returns word `index` of the value at `at`.
    #[inline]
    pub(crate) fn word(&self, at: Place, index: usize) -> u64 {
        let first = self.offset(at) / WORD;
        self.words.word(first + index).load(Ordering::Relaxed)
    }

    /// Writes the value at `at` from the words of `source` from word `from` on.
    pub(crate) fn write(&self, at: Place, source: &(impl ValueSource + ?Sized), from: usize) {
        let first = self.offset(at) / WORD;
        for index in 0..self.stride / WORD {
            self.words
                .word(first + index)
                .store(source.word(from + index), Ordering::Relaxed);
        }
    }

    /// Copies the value at `at` out.
    pub(crate) fn read(&self, at: Place, sink: &mut (impl ValueSink + ?Sized)) {
        let first = self.offset(at) / WORD;
        for index in 0..self.stride / WORD {
            sink.put(
                index,
                self.words.word(first + index).load(Ordering::Relaxed),
            );
        }
    }

    /// Puts zeroes where a value would have gone.
    pub(crate) fn zero_sink(&self, sink: &mut (impl ValueSink + ?Sized)) {
        (0..self.stride / WORD).for_each(|index| sink.put(index, 0));
    }

    /// Refuses a place for a value that has the wrong length.
    pub(crate) fn check_sink(&self, sink: &(impl ValueSink + ?Sized)) -> Result<(), MapError> {
        let (len, expected) = (sink.byte_len(), self.value_size);
        if len == expected {
            Ok(())
        } else {
            Err(MapError::ValueLength { len, expected })
        }
    }

    /// Zeroes the value of `slot` in every copy but `copy`.
    pub(crate) fn zero_others(&self, slot: u32, copy: u32) {
        for other in (0..self.copies.count()).filter(|&other| other != copy) {
            self.write(Place { copy: other, slot }, &[], 0);
        }
    }

    /// Writes all copies of `slot` from an entry as [`entry_size`](Self::entry_size) describes it, or from one value.
    pub(crate) fn write_entry(&self, slot: u32, entry: &[u8]) {
        let one = entry.len() == self.value_size;
        for copy in 0..self.copies.count() {
            let from = if one {
                0
            } else {
                copy as usize * self.stride / WORD
            };
            self.write(Place { copy, slot }, entry, from);
        }
    }

    /// Copies the entry of `slot` out to `entry_size` bytes.
    pub(crate) fn read_entry(&self, slot: u32, entry: &mut [u8]) {
        for (copy, out) in (0..self.copies.count()).zip(entry.chunks_mut(self.stride)) {
            let first = self.offset(Place { copy, slot }) / WORD;
            copy_out(out, |index| {
                self.words.word(first + index).load(Ordering::Relaxed)
            });
        }
    }

    /// Refuses a value that programs give and that has the wrong length.
    pub(crate) fn check_value(&self, value: &(impl ValueSource + ?Sized)) -> Result<(), MapError> {
        let (len, expected) = (value.byte_len(), self.value_size);
        if len == expected {
            Ok(())
        } else {
            Err(MapError::ValueLength { len, expected })
        }
    }

    /// Refuses an entry that the management side gives and that has the wrong length.
    pub(crate) fn check_entry(&self, entry: &[u8]) -> Result<(), MapError> {
        let (len, expected) = (entry.len(), self.entry_size());
        if len == expected || len == self.value_size {
            Ok(())
        } else {
            Err(MapError::ValueLength { len, expected })
        }
    }
}
