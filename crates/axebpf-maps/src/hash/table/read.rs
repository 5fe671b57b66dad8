//! Finding and reading, without the lock as long as that works.

use crate::MapError;
use crate::hash::table::Table;
use crate::storage::copy_out;
use crate::sync::{Effort, Ordering, spin_loop};

/// How often to start a walk, or a copy, without the lock.
#[cfg(not(loom))]
const UNLOCKED_TRIES: u32 = 16;
#[cfg(loom)]
const UNLOCKED_TRIES: u32 = 2;

impl Table {
    /// Finds the node of `key` without the lock.
    ///
    /// # Errors
    ///
    /// `Busy` when the chain kept changing.
    pub(crate) fn find_unlocked(&self, key: &[u8]) -> Result<Option<u32>, MapError> {
        let hash = self.hash(key)?;
        let bucket = self.bucket(hash);
        for _ in 0..UNLOCKED_TRIES {
            if let Some(begun) = bucket.sequence.begin() {
                let found = self.walk(bucket, hash, key, || bucket.sequence.unchanged(begun));
                if bucket.sequence.unchanged(begun) {
                    return Ok(found.map(|found| found.node));
                }
            }
            spin_loop();
        }
        Err(MapError::Busy)
    }

    /// Finds the node of `key`, with the lock if need be. Called inside a hit guard.
    pub(crate) fn find(&self, key: &[u8], effort: Effort) -> Result<Option<u32>, MapError> {
        match self.find_unlocked(key) {
            Err(MapError::Busy) => {
                let hash = self.hash(key)?;
                let bucket = self.bucket(hash);
                let _locked = bucket.lock.acquire(effort).ok_or(MapError::Busy)?;
                Ok(self
                    .walk(bucket, hash, key, || true)
                    .map(|found| found.node))
            }
            found => found,
        }
    }

    /// Lets `copy` copy the value of `key` without the lock, more than once if it changes; tells whether there is one.
    ///
    /// # Errors
    ///
    /// `Busy` when it kept changing.
    pub(crate) fn read(&self, key: &[u8], mut copy: impl FnMut(u32)) -> Result<bool, MapError> {
        for _ in 0..UNLOCKED_TRIES {
            let Some(slot) = self.find_unlocked(key)? else {
                return Ok(false);
            };
            let node = &self.nodes[slot as usize];
            let then = node.observe();
            if then.is_settled() && self.has_key(slot, key) {
                copy(slot);
                if node.unchanged_since(then) {
                    return Ok(true);
                }
            }
            spin_loop();
        }
        Err(MapError::Busy)
    }

    /// Lets `copy` copy the value of `key` under the lock; tells whether there is one. Called inside a hit guard.
    pub(crate) fn read_locked(&self, key: &[u8], copy: impl FnOnce(u32)) -> Result<bool, MapError> {
        let hash = self.hash(key)?;
        let bucket = self.bucket(hash);
        let _locked = bucket
            .lock
            .acquire(Effort::UntilFree)
            .ok_or(MapError::Busy)?;
        let found = self.walk(bucket, hash, key, || true);
        if let Some(found) = found {
            copy(found.node);
        }
        Ok(found.is_some())
    }

    /// Copies the key in `slot` out; tells whether there is one.
    ///
    /// A slot whose key keeps changing counts as having none: no key stays there.
    pub(crate) fn key_of(&self, slot: u32, key: &mut [u8]) -> bool {
        let Some(node) = self.nodes.get(slot as usize) else {
            return false;
        };
        for _ in 0..UNLOCKED_TRIES {
            let then = node.observe();
            if !then.is_live() {
                return false;
            }
            let words = self.key_words(slot);
            copy_out(key, |index| words[index].load(Ordering::Relaxed));
            if node.lives_since(then) {
                return true;
            }
            spin_loop();
        }
        false
    }
}
