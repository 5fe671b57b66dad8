//! Bloom filters.
//!
//! # Protocol
//!
//! A member sets one bit for each hash function; bits are never cleared, and each is set by one atomic operation, so
//! there is nothing to lock. Who saw a `push` end finds the member.

use axebpf_hit::HitGuard;

use crate::hash::hash_words;
use crate::map::Map;
use crate::storage::table;
use crate::store::Store;
use crate::sync::{AtomicU64, Ordering};
use crate::value_source::ValueSource;
use crate::{MapError, MapKind, MapSpec, Operation, UpdateFlags, limits};

use alloc::vec::Vec;

/// The number of hash functions unless the specification says otherwise, as in Linux.
const HASH_FUNCTIONS: u64 = 5;

#[derive(Debug)]
pub(crate) struct Bloom {
    bits: Vec<AtomicU64>,
    value_size: usize,
    functions: u64,
    seed: u64,
}

impl Bloom {
    pub(crate) fn new(spec: &MapSpec, seed: u64) -> Result<Self, MapError> {
        let functions = match spec.extra {
            0 => HASH_FUNCTIONS,
            functions => functions,
        };
        // The best number of bits for n members and k functions is n * k / ln 2; 7 / 5 is a little less than 1 / ln 2.
        let bits = (u64::from(spec.max_entries) * functions * 7 / 5).next_power_of_two();
        let bytes = (bits / 8).max(8);
        limits::check_total(bytes)?;
        Ok(Self {
            bits: table((bytes / 8) as usize, || AtomicU64::new(0))?,
            value_size: spec.value_size as usize,
            functions,
            seed,
        })
    }

    pub(crate) fn bookkeeping(&self) -> u64 {
        self.bits.len() as u64 * 8
    }

    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    fn check(&self, value: &(impl ValueSource + ?Sized)) -> Result<(), MapError> {
        let (len, expected) = (value.byte_len(), self.value_size);
        if len == expected {
            Ok(())
        } else {
            Err(MapError::ValueLength { len, expected })
        }
    }

    /// Goes through the words, each with its bit, that `value` sets.
    fn places(
        &self,
        value: &(impl ValueSource + ?Sized),
    ) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let hash = hash_words(self.seed, value);
        // From one hash any number of them (Kirsch and Mitzenmacher, "Less hashing, same performance", 2006).
        let (first, step) = (hash & 0xffff_ffff, hash >> 32 | 1);
        let mask = self.bits.len() as u64 * 64 - 1;
        (0..self.functions).map(move |function| {
            let bit = first.wrapping_add(function.wrapping_mul(step)) & mask;
            (&self.bits[(bit / 64) as usize], 1 << (bit % 64))
        })
    }

    pub(crate) fn push(
        &self,
        value: &(impl ValueSource + ?Sized),
        flags: UpdateFlags,
    ) -> Result<(), MapError> {
        self.check(value)?;
        if flags != UpdateFlags::Any {
            let kind = MapKind::BloomFilter;
            return Err(MapError::WrongUpdateFlags { kind, flags });
        }
        for (word, bit) in self.places(value) {
            word.fetch_or(bit, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn contains(&self, value: &(impl ValueSource + ?Sized)) -> Result<bool, MapError> {
        self.check(value)?;
        Ok(self
            .places(value)
            .all(|(word, bit)| word.load(Ordering::Acquire) & bit != 0))
    }
}

impl Map {
    /// Tells whether `value` may be a member of a bloom filter (`bpf_map_peek_elem`). "No" is certain.
    ///
    /// # Errors
    ///
    /// [`ValueLength`](MapError::ValueLength), [`Forbidden`](MapError::Forbidden) if programs may not read,
    /// [`Unsupported`](MapError::Unsupported) for other kinds.
    pub fn contains(
        &self,
        _guard: &HitGuard,
        value: &(impl ValueSource + ?Sized),
    ) -> Result<bool, MapError> {
        self.program_access().check_read()?;
        match &self.store {
            Store::Bloom(bloom) => bloom.contains(value),
            _ => Err(self.unsupported(Operation::Peek)),
        }
    }
}
