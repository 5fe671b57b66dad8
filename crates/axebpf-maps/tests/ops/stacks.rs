//! The model of stack traces.

use std::collections::BTreeMap;

use axebpf_maps::{Map, MapError, MapSpec, StackFlags};

use super::{Op, check_always};
use crate::support::hit;

/// The stacks by number, and the number that each stack has had once.
#[derive(Debug)]
pub(crate) struct Stacks {
    depth: usize,
    slots: u32,
    stacks: BTreeMap<u32, Vec<u64>>,
    ids: BTreeMap<Vec<u64>, u32>,
}

impl Stacks {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        Self {
            depth: spec.value_size as usize / 8,
            slots: spec.max_entries.next_power_of_two(),
            stacks: BTreeMap::new(),
            ids: BTreeMap::new(),
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, frames, fill, how]: Op) {
        let frames: Vec<_> = (0..frames % 5)
            .map(|frame| u64::from(fill % 8) << 32 | u64::from(frame))
            .collect();
        match what % 8 {
            0..4 => self.put(map, &frames, StackFlags::empty()),
            4 => self.put(map, &frames, StackFlags::REUSE_STACKID),
            // Hashes of so few stacks do not collide in all bits.
            5 => self.put(map, &frames, StackFlags::FAST_STACK_CMP),
            6 => {
                let id = u32::from(how) % (self.slots + 1);
                assert_eq!(map.read(&id.to_ne_bytes()), Ok(self.entry(id)));
            }
            _ => {
                let id = u32::from(how) % (self.slots + 1);
                let gone = self.stacks.remove(&id).map(drop);
                assert_eq!(
                    map.remove(&id.to_ne_bytes()),
                    gone.ok_or(MapError::NotFound)
                );
            }
        }
        check_always(map);
    }

    fn entry(&self, id: u32) -> Option<Vec<u8>> {
        let mut frames = self.stacks.get(&id)?.clone();
        frames.resize(self.depth, 0);
        Some(frames.into_iter().flat_map(u64::to_ne_bytes).collect())
    }

    fn put(&mut self, map: &Map, frames: &[u64], flags: StackFlags) {
        let done = map.stack_id(&hit(), frames, flags);
        let kept = frames[..frames.len().min(self.depth)].to_vec();
        let Ok(id) = done else {
            assert_eq!(done, Err(MapError::Exists));
            assert!(!flags.contains(StackFlags::REUSE_STACKID));
            assert!(self.stacks.values().all(|stack| *stack != kept));
            if let Some(id) = self.ids.get(&kept) {
                assert!(self.stacks.contains_key(id), "its slot is taken");
            }
            return;
        };
        assert!(id < self.slots);
        assert_eq!(
            *self.ids.entry(kept.clone()).or_insert(id),
            id,
            "a stack has one number"
        );
        let before = self.stacks.insert(id, kept.clone());
        assert!(
            flags.contains(StackFlags::REUSE_STACKID) || before.is_none_or(|before| before == kept)
        );
    }

    pub(crate) fn compare(&self, map: &Map) {
        let keys: Vec<_> = map.keys().map(|key| key.expect("readable")).collect();
        let expected: Vec<_> = self
            .stacks
            .keys()
            .map(|id| id.to_ne_bytes().to_vec())
            .collect();
        assert_eq!(keys, expected);
        assert_eq!(map.stats().entries, Some(keys.len() as u32));
        for (&id, key) in self.stacks.keys().zip(&keys) {
            assert_eq!(map.read(key), Ok(self.entry(id)));
        }
    }
}
