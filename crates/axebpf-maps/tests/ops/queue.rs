//! The model of queues and stacks.

use std::collections::VecDeque;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};

use super::{Op, check_always};
use crate::support::hit;

/// The values, oldest first.
#[derive(Debug)]
pub(crate) struct Queue {
    spec: MapSpec,
    values: VecDeque<Vec<u8>>,
}

impl Queue {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        Self {
            spec: spec.clone(),
            values: VecDeque::new(),
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, _, fill, how]: Op) {
        let value: Vec<_> = (0..self.spec.value_size)
            .map(|index| fill.wrapping_add(index as u8))
            .collect();
        let flags = [UpdateFlags::Any, UpdateFlags::NoExist, UpdateFlags::Exist][how as usize % 3];
        match what % 8 {
            0 | 1 => self.after_push(map.push(&hit(), &value, flags), value, flags),
            2 => self.after_push(map.write(&[], &value, flags), value, flags),
            3 | 4 => {
                let (done, out) = self.copied(|out| map.pop(&hit(), out));
                let expected = self.take();
                self.check_copy(done, out, expected);
            }
            5 => {
                let (done, out) = self.copied(|out| map.peek(&hit(), out));
                self.check_copy(done, out, self.next().cloned());
            }
            6 => assert_eq!(map.read(&[]), Ok(self.next().cloned())),
            _ => assert_eq!(map.take(&[]), Ok(self.take())),
        }
        check_always(map);
        assert_eq!(map.stats().entries, Some(self.values.len() as u32));
        assert_eq!(map.keys().count(), 0);
        let limit = how as usize % 4;
        let waiting = map.peek_all(limit).expect("readable");
        let expected: Vec<_> = match self.spec.kind {
            MapKind::Stack => self.values.iter().rev().take(limit).cloned().collect(),
            _ => self.values.iter().take(limit).cloned().collect(),
        };
        assert_eq!(waiting, expected);
    }

    /// Lets `copy` copy to memory that is not zero.
    fn copied(
        &self,
        copy: impl FnOnce(&mut [u8]) -> Result<(), MapError>,
    ) -> (Result<(), MapError>, Vec<u8>) {
        let mut out = vec![0xa5; self.spec.value_size as usize];
        (copy(&mut out), out)
    }

    fn check_copy(&self, done: Result<(), MapError>, out: Vec<u8>, expected: Option<Vec<u8>>) {
        match expected {
            Some(value) => assert_eq!((done, out), (Ok(()), value)),
            None => {
                let zeroes = vec![0; self.spec.value_size as usize];
                assert_eq!((done, out), (Err(MapError::NotFound), zeroes));
            }
        }
    }

    fn next(&self) -> Option<&Vec<u8>> {
        match self.spec.kind {
            MapKind::Queue => self.values.front(),
            _ => self.values.back(),
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        match self.spec.kind {
            MapKind::Queue => self.values.pop_front(),
            _ => self.values.pop_back(),
        }
    }

    fn after_push(&mut self, done: Result<(), MapError>, value: Vec<u8>, flags: UpdateFlags) {
        let (kind, limit) = (self.spec.kind, self.spec.max_entries);
        let full = self.values.len() == limit as usize;
        let expected = match flags {
            UpdateFlags::NoExist => Err(MapError::WrongUpdateFlags { kind, flags }),
            UpdateFlags::Any if full => Err(MapError::Full { limit }),
            _ => Ok(()),
        };
        assert_eq!(done, expected);
        if done.is_ok() {
            if full {
                self.values.pop_front();
            }
            self.values.push_back(value);
        }
    }
}
