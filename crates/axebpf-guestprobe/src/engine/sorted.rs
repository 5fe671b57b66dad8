//! A map in order of its keys whose copies share what they have in common, so that publishing one is cheap.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

/// How many entries a chunk has at most. A change copies one chunk, and the list of them.
const CHUNK: usize = 64;

/// A map in order of its keys. Finding takes logarithmic time, and neither allocates nor waits.
pub(super) struct Sorted<K, V> {
    /// In order, none of them empty.
    chunks: Vec<Arc<Vec<(K, V)>>>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<K, V> Clone for Sorted<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
        }
    }
}

impl<K, V> Sorted<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Copy, V: Clone> Sorted<K, V> {
    /// Returns the chunk in which `key` is if it is anywhere.
    fn chunk_of(&self, key: K) -> usize {
        let starts_before = |chunk: &Arc<Vec<(K, V)>>| chunk.first().is_some_and(|e| e.0 <= key);
        self.chunks.partition_point(starts_before).saturating_sub(1)
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let index = chunk.binary_search_by_key(&key, |entry| entry.0).ok()?;
        chunk.get(index).map(|entry| &entry.1)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let chunk = self.chunk_of(key);
        let chunk = self.chunks.get_mut(chunk)?;
        let index = chunk.binary_search_by_key(&key, |entry| entry.0).ok()?;
        Arc::make_mut(chunk)
            .get_mut(index)
            .map(|entry| &mut entry.1)
    }

    /// Returns the entries whose keys are in `range`.
    pub(super) fn range(&self, range: Range<K>) -> impl Iterator<Item = (&K, &V)> + Clone {
        let chunks = self.chunks.get(self.chunk_of(range.start)..);
        let entries = chunks.unwrap_or_default().iter().flat_map(|c| c.iter());
        entries
            .skip_while(move |entry| entry.0 < range.start)
            .take_while(move |entry| entry.0 < range.end)
            .map(|(key, value)| (key, value))
    }

    /// Puts `value` at `key`, where there is none or another one.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let at = self.chunk_of(key);
        let Some(shared) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(Vec::from([(key, value)])));
            return;
        };
        let chunk = Arc::make_mut(shared);
        match chunk.binary_search_by_key(&key, |entry| entry.0) {
            Ok(index) => chunk[index].1 = value,
            Err(index) => chunk.insert(index, (key, value)),
        }
        if chunk.len() > CHUNK {
            let rest = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at + 1, Arc::new(rest));
        }
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.chunk_of(key);
        let shared = self.chunks.get_mut(at)?;
        let index = shared.binary_search_by_key(&key, |entry| entry.0).ok()?;
        let chunk = Arc::make_mut(shared);
        let (_, value) = chunk.remove(index);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(work in prop::collection::vec((0_u32..4, 0_u16..400), 0..1500), limits: [u16; 2]) {
            let (mut sorted, mut map) = (Sorted::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (index, (what, key)) in work.into_iter().enumerate() {
                match what {
                    0 => prop_assert_eq!(sorted.remove(key), map.remove(&key)),
                    1 => {
                        let (a, b) = (sorted.get_mut(key), map.get_mut(&key));
                        prop_assert_eq!(&a, &b);
                        a.into_iter().chain(b).for_each(|value| *value += 1);
                    }
                    _ => {
                        sorted.insert(key, index);
                        map.insert(key, index);
                    }
                }
                prop_assert_eq!(sorted.get(key), map.get(&key));
                if index % 128 == 0 {
                    copies.push((sorted.clone(), map.clone()));
                }
            }
            copies.push((sorted, map));
            let range = limits[0] % 450..limits[1] % 450;
            for (sorted, map) in copies {
                prop_assert!(sorted.iter().eq(map.iter()));
                prop_assert_eq!(sorted.is_empty(), map.is_empty());
                if range.start <= range.end {
                    prop_assert!(sorted.range(range.clone()).eq(map.range(range.clone())));
                }
            }
        }
    }
}
