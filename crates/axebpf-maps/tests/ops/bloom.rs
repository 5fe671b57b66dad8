//! The model of bloom filters.

use std::collections::BTreeSet;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};

use super::{Op, check_always};
use crate::support::hit;

#[derive(Debug)]
pub(crate) struct Bloom {
    value_size: usize,
    members: BTreeSet<Vec<u8>>,
}

impl Bloom {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        Self {
            value_size: spec.value_size as usize,
            members: BTreeSet::new(),
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, _, fill, how]: Op) {
        let value = vec![fill; self.value_size];
        let flags = [UpdateFlags::Any, UpdateFlags::NoExist, UpdateFlags::Exist][how as usize % 3];
        match what % 3 {
            0 => {
                let found = map.contains(&hit(), &value).expect("of the right length");
                assert!(found || !self.members.contains(&value), "members are found");
                assert!(
                    !found || !self.members.is_empty(),
                    "an empty set has no members"
                );
            }
            1 => self.after_push(map.push(&hit(), &value, flags), value, flags),
            _ => self.after_push(map.write(&[], &value, flags), value, flags),
        }
        check_always(map);
    }

    fn after_push(&mut self, done: Result<(), MapError>, value: Vec<u8>, flags: UpdateFlags) {
        let kind = MapKind::BloomFilter;
        if flags == UpdateFlags::Any {
            assert_eq!(done, Ok(()));
            self.members.insert(value);
        } else {
            assert_eq!(done, Err(MapError::WrongUpdateFlags { kind, flags }));
        }
    }
}
