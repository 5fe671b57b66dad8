//! The model of the kinds that have keys.

use std::collections::{BTreeMap, BTreeSet};

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};

use super::{Op, check_always};
use crate::support::{CPUS, hit_on, load, store};

const FLAGS: [UpdateFlags; 3] = [UpdateFlags::Any, UpdateFlags::NoExist, UpdateFlags::Exist];

/// For each key, its value in each copy.
#[derive(Debug)]
pub(crate) struct Keyed {
    spec: MapSpec,
    copies: usize,
    entries: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// How many entries made room for others.
    evicted: u64,
}

impl Keyed {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        let copies = if spec.kind.is_per_cpu() {
            CPUS as usize
        } else {
            1
        };
        let mut model = Self {
            spec: spec.clone(),
            copies,
            entries: BTreeMap::new(),
            evicted: 0,
        };
        if model.is_array() {
            for index in 0..spec.max_entries {
                let zero = vec![vec![0; spec.value_size as usize]; copies];
                model.entries.insert(index.to_ne_bytes().to_vec(), zero);
            }
        }
        model
    }

    fn is_array(&self) -> bool {
        matches!(self.spec.kind, MapKind::Array | MapKind::PerCpuArray)
    }

    fn forgets(&self) -> bool {
        matches!(self.spec.kind, MapKind::LruHash | MapKind::LruPerCpuHash)
    }

    /// Finds out which entry made room for a new one.
    fn forget(&mut self, map: &Map) {
        if !self.forgets() || self.entries.len() < self.spec.max_entries as usize {
            return;
        }
        assert_eq!(map.stats().evicted, self.evicted + 1);
        self.evicted += 1;
        let listed: BTreeSet<_> = map
            .keys()
            .collect::<Result<_, _>>()
            .expect("keys are readable");
        let before = self.entries.len();
        self.entries.retain(|key, _| listed.contains(key));
        assert_eq!(self.entries.len(), before - 1, "one is enough");
    }

    pub(crate) fn step(&mut self, map: &Map, [what, key, fill, how]: Op) {
        let key = self.key(key);
        let flags = FLAGS[how as usize / 16 % 3];
        let cpu = u32::from(how) % CPUS;
        match what % 10 {
            0 => self.lookup(map, &key, cpu),
            1 | 2 => self.update(map, &key, fill, flags, cpu),
            3 => self.delete(map, &key),
            4 => self.poke(map, &key, fill, cpu),
            5 => assert_eq!(map.read(&key), Ok(self.entry(&key))),
            6 => self.write(map, &key, fill, flags),
            7 => self.remove(map, &key),
            8 => self.take(map, &key),
            _ => self.next_key(map, &key),
        }
        check_always(map);
    }

    /// Makes one of ten keys, two of which are too high for any array.
    fn key(&self, byte: u8) -> Vec<u8> {
        let mut key = vec![0; self.spec.key_size as usize];
        key[0] = byte % 10;
        if let Some(last) = key.get_mut(8..).and_then(<[u8]>::last_mut) {
            *last = byte % 10;
        }
        key
    }

    fn value(&self, fill: u8) -> Vec<u8> {
        (0..self.spec.value_size)
            .map(|index| fill.wrapping_add(index as u8))
            .collect()
    }

    /// Returns the entry as the management side sees it.
    fn entry(&self, key: &[u8]) -> Option<Vec<u8>> {
        let copies = self.entries.get(key)?;
        if self.spec.kind.is_per_cpu() {
            let stride = (self.spec.value_size as usize).next_multiple_of(8);
            let padded = |copy: &Vec<u8>| {
                let mut copy = copy.clone();
                copy.resize(stride, 0);
                copy
            };
            Some(copies.iter().flat_map(padded).collect())
        } else {
            Some(copies[0].clone())
        }
    }

    fn copy_of(&self, cpu: u32) -> usize {
        cpu as usize % self.copies
    }

    fn lookup(&self, map: &Map, key: &[u8], cpu: u32) {
        let guard = hit_on(cpu);
        let found = map.lookup(&guard, key).expect("nobody else uses the map");
        let model = self
            .entries
            .get(key)
            .map(|copies| copies[self.copy_of(cpu)].clone());
        assert_eq!(
            found.map(|value| load(value, self.spec.value_size as usize)),
            model
        );
        if let Some(value) = found {
            let addr = value.addr().get();
            let arena = map.arena();
            assert!(addr.is_multiple_of(8) && arena.allows(addr, self.spec.value_size as usize));
            assert!(!arena.allows(addr, self.spec.value_size as usize + 1));
            assert_eq!(
                arena.value_at(addr + self.spec.value_size as usize - 1),
                Some(addr)
            );
        }
    }

    /// Says how an update must fail.
    fn refusal(&self, key: &[u8], flags: UpdateFlags) -> Option<MapError> {
        let limit = self.spec.max_entries;
        match (self.entries.contains_key(key), flags) {
            (false, _) if self.is_array() => {
                let index = u32::from_ne_bytes(key.try_into().expect("array keys have 4 bytes"));
                Some(MapError::IndexOutOfRange { index, limit })
            }
            (true, UpdateFlags::NoExist) => Some(MapError::Exists),
            (false, UpdateFlags::Exist) => Some(MapError::NotFound),
            (false, _) if self.entries.len() == limit as usize && !self.forgets() => {
                Some(MapError::Full { limit })
            }
            _ => None,
        }
    }

    fn update(&mut self, map: &Map, key: &[u8], fill: u8, flags: UpdateFlags, cpu: u32) {
        let value = self.value(fill);
        let done = map.update(&hit_on(cpu), key, &value, flags);
        assert_eq!(done.err(), self.refusal(key, flags));
        if done.is_ok() {
            if !self.entries.contains_key(key) {
                self.forget(map);
            }
            let zero = vec![vec![0; value.len()]; self.copies];
            let copy = self.copy_of(cpu);
            self.entries.entry(key.to_vec()).or_insert(zero)[copy] = value;
        }
    }

    fn write(&mut self, map: &Map, key: &[u8], fill: u8, flags: UpdateFlags) {
        // Each copy gets other bytes; padding is not zero, and must not be seen.
        let values: Vec<_> = (0..self.copies)
            .map(|copy| self.value(fill ^ copy as u8))
            .collect();
        let mut entry = values.concat();
        if self.spec.kind.is_per_cpu() {
            let stride = (self.spec.value_size as usize).next_multiple_of(8);
            let pad = |value: &Vec<u8>| {
                let mut value = value.clone();
                value.resize(stride, 0);
                value
            };
            entry = values.iter().flat_map(pad).collect();
        }
        let done = map.write(key, &entry, flags);
        assert_eq!(done.err(), self.refusal(key, flags));
        if done.is_ok() {
            if !self.entries.contains_key(key) {
                self.forget(map);
            }
            self.entries.insert(key.to_vec(), values);
        }
    }

    fn delete(&mut self, map: &Map, key: &[u8]) {
        let done = map.delete(&hit_on(0), key);
        self.after_delete(key, done);
    }

    fn remove(&mut self, map: &Map, key: &[u8]) {
        let done = map.remove(key);
        self.after_delete(key, done);
    }

    fn take(&mut self, map: &Map, key: &[u8]) {
        let taken = map.take(key);
        if self.is_array() {
            assert_eq!(taken.map_err(|error| error.errno()), Err(-95));
        } else {
            assert_eq!(taken, Ok(self.entry(key)));
            self.entries.remove(key);
        }
    }

    fn after_delete(&mut self, key: &[u8], done: Result<(), MapError>) {
        if self.is_array() {
            assert_eq!(done.map_err(|error| error.errno()), Err(-22));
        } else {
            assert_eq!(done.is_ok(), self.entries.remove(key).is_some());
            assert!(done.is_ok() || done == Err(MapError::NotFound));
        }
    }

    /// Stores through the pointer that a lookup gives.
    fn poke(&mut self, map: &Map, key: &[u8], fill: u8, cpu: u32) {
        let copy = self.copy_of(cpu);
        let guard = hit_on(cpu);
        if let Some(value) = map.lookup(&guard, key).expect("nobody else uses the map") {
            let at = fill as usize % self.spec.value_size as usize;
            store(value, at, &[fill]);
            self.entries
                .get_mut(key)
                .expect("the model has the key too")[copy][at] = fill;
        }
    }

    fn next_key(&self, map: &Map, key: &[u8]) {
        let next = map.next_key(Some(key)).expect("keys are readable");
        if !self.entries.contains_key(key) {
            assert_eq!(next, map.next_key(None).expect("keys are readable"));
        }
        assert!(next.is_none_or(|next| self.entries.contains_key(&next)));
    }

    /// Visits all entries as a program does.
    fn visit(&self, map: &Map) {
        let cpu = CPUS - 1;
        let guard = hit_on(cpu);
        let mut visited = BTreeSet::new();
        let mut key = vec![0; self.spec.key_size as usize];
        let mut slot = 0;
        while let Some(entry) = map.entry_from(&guard, slot, &mut key).expect("readable") {
            assert!(entry.slot >= slot && entry.slot < self.spec.max_entries);
            slot = entry.slot + 1;
            let value = load(entry.value, self.spec.value_size as usize);
            assert_eq!(value, self.entries[&key][self.copy_of(cpu)]);
            assert!(visited.insert(key.clone()), "an entry comes once");
        }
        assert!(self.entries.keys().eq(visited.iter()));
    }

    /// Compares everything, by each way to go through it.
    pub(crate) fn compare(&self, map: &Map) {
        self.visit(map);
        let mut walked = BTreeSet::new();
        let mut at = map.next_key(None).expect("keys are readable");
        while let Some(key) = at {
            at = map.next_key(Some(&key)).expect("keys are readable");
            assert!(walked.insert(key), "a key comes once");
        }
        let listed: Vec<_> = map
            .keys()
            .collect::<Result<_, _>>()
            .expect("keys are readable");
        assert_eq!(listed.len(), walked.len());
        assert!(self.entries.keys().eq(walked.iter()));
        assert_eq!(map.stats().entries, Some(self.entries.len() as u32));
        for key in &walked {
            assert_eq!(map.read(key), Ok(self.entry(key)));
        }
    }
}
