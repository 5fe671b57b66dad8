//! The model of the kinds whose values are programs or maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, ProgramHandle, UpdateFlags};

use super::{Op, check_always};
use crate::support::{create, hit};

const FLAGS: [UpdateFlags; 3] = [UpdateFlags::Any, UpdateFlags::NoExist, UpdateFlags::Exist];

/// What is in each slot, and its number when that is known.
#[derive(Debug)]
pub(crate) struct Slots {
    spec: MapSpec,
    maps: BTreeMap<Vec<u8>, Arc<Map>>,
    programs: BTreeMap<Vec<u8>, Arc<u8>>,
}

impl Slots {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        Self {
            spec: spec.clone(),
            maps: BTreeMap::new(),
            programs: BTreeMap::new(),
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, key, fill, how]: Op) {
        let mut bytes = vec![0; self.spec.key_size as usize];
        bytes[0] = key % 10;
        let flags = FLAGS[how as usize % 3];
        match (self.spec.kind, what % 4) {
            (_, 0) => self.remove(map, &bytes),
            (_, 1) => self.read(map, &bytes),
            (MapKind::ProgArray, 2) => self.write_program(map, &bytes, fill),
            (MapKind::ProgArray, _) => self.find_program(map, &bytes),
            (_, 2) => self.write_inner(map, &bytes, flags),
            _ => self.find_inner(map, &bytes),
        }
        check_always(map);
    }

    /// Returns the index that `key` is and that is too high, if so.
    fn too_high(&self, key: &[u8]) -> Option<MapError> {
        let limit = self.spec.max_entries;
        let index = u32::from_ne_bytes(key.try_into().ok()?);
        let refused = self.spec.kind != MapKind::HashOfMaps && index >= limit;
        refused.then_some(MapError::IndexOutOfRange { index, limit })
    }

    fn has(&self, key: &[u8]) -> bool {
        self.maps.contains_key(key) || self.programs.contains_key(key)
    }

    fn remove(&mut self, map: &Map, key: &[u8]) {
        let expected = match self.too_high(key) {
            Some(error) => Err(error),
            None if self.has(key) => Ok(()),
            None => Err(MapError::NotFound),
        };
        assert_eq!(map.remove(key), expected);
        if let Some(gone) = self.programs.remove(key) {
            assert_eq!(Arc::strong_count(&gone), 1, "the map keeps nothing");
        }
        if let Some(gone) = self.maps.remove(key) {
            assert_eq!(Arc::strong_count(&gone), 1, "the map keeps nothing");
        }
    }

    fn read(&self, map: &Map, key: &[u8]) {
        let number = map.read(key).expect("readable");
        assert_eq!(number.is_some(), self.has(key));
        assert!(number.is_none_or(|number| number != [0; 4]));
    }

    fn write_program(&mut self, map: &Map, key: &[u8], fill: u8) {
        let index = u32::from_ne_bytes(key.try_into().expect("4 bytes"));
        let program = Arc::new(fill);
        let done = map.write_program(index, Arc::clone(&program) as ProgramHandle);
        assert_eq!(done.as_ref().err().copied(), self.too_high(key));
        if let Ok(before) = done {
            let before = before.and_then(|before| before.downcast::<u8>().ok());
            let known = self.programs.insert(key.to_vec(), program);
            assert_eq!(
                before.map(|before| Arc::as_ptr(&before)),
                known.as_ref().map(Arc::as_ptr)
            );
            assert!(known.is_none_or(|known| Arc::strong_count(&known) == 1));
        }
    }

    fn find_program(&self, map: &Map, key: &[u8]) {
        let index = u32::from_ne_bytes(key.try_into().expect("4 bytes"));
        let guard = hit();
        let found = map.program(&guard, index);
        match (found, self.too_high(key)) {
            (Ok(found), None) => {
                let found = found.and_then(|found| found.downcast_ref::<u8>());
                assert_eq!(found, self.programs.get(key).map(|program| &**program));
            }
            (found, expected) => assert_eq!(found.err(), expected),
        }
    }

    fn write_inner(&mut self, map: &Map, key: &[u8], flags: UpdateFlags) {
        let inner = Arc::new(create(
            self.spec.inner.as_ref().expect("there is a template"),
        ));
        let done = map.write_inner(key, Arc::clone(&inner), flags);
        let expected = if self.spec.kind == MapKind::HashOfMaps {
            let limit = self.spec.max_entries;
            match (self.has(key), flags) {
                (true, UpdateFlags::NoExist) => Some(MapError::Exists),
                (false, UpdateFlags::Exist) => Some(MapError::NotFound),
                (false, _) if self.maps.len() == limit as usize => Some(MapError::Full { limit }),
                _ => None,
            }
        } else if flags == UpdateFlags::Any {
            self.too_high(key)
        } else {
            let kind = self.spec.kind;
            Some(MapError::WrongUpdateFlags { kind, flags })
        };
        assert_eq!(done.as_ref().err().copied(), expected);
        if let Ok(before) = done {
            let known = self.maps.insert(key.to_vec(), inner);
            assert_eq!(
                before.as_ref().map(Arc::as_ptr),
                known.as_ref().map(Arc::as_ptr)
            );
        } else {
            assert_eq!(Arc::strong_count(&inner), 1, "nothing keeps it");
        }
    }

    fn find_inner(&self, map: &Map, key: &[u8]) {
        let guard = hit();
        let found = map.inner(&guard, key).expect("nobody else uses the map");
        let known = self.maps.get(key);
        assert_eq!(
            found.map(|found| Arc::as_ptr(found.map)),
            known.map(Arc::as_ptr)
        );
        if let Some(found) = found {
            let again = map.inner_at(&guard, found.slot, found.generation);
            assert_eq!(
                again.map(|again| Arc::as_ptr(again.map)),
                known.map(Arc::as_ptr)
            );
            assert!(
                map.inner_at(&guard, found.slot, found.generation.wrapping_add(1))
                    .is_none()
            );
        }
    }

    pub(crate) fn compare(&self, map: &Map) {
        let mut keys: Vec<_> = map.keys().map(|key| key.expect("readable")).collect();
        keys.sort();
        assert!(keys.iter().eq(self.maps.keys().chain(self.programs.keys())));
        assert_eq!(map.stats().entries, Some(keys.len() as u32));
        let mut walked = 0;
        let mut at = map.next_key(None).expect("readable");
        while let Some(key) = at {
            walked += 1;
            at = map.next_key(Some(&key)).expect("readable");
        }
        assert_eq!(walked, keys.len());
    }
}
