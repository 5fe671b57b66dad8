//! The model of perf event arrays; that of the buffers is in [`ring`](super::ring).

use axebpf_maps::{Map, MapError, MapSpec, PERF_BUFFER_SIZE};
use axebpf_platform::CpuId;

use super::{Op, check_always};
use crate::support::{CPUS, hit_on};

/// The records of each CPU, and the bytes that they take.
#[derive(Debug)]
pub(crate) struct Perf {
    entries: u32,
    records: Vec<Vec<Vec<u8>>>,
    used: Vec<u32>,
    lost: u64,
}

impl Perf {
    pub(crate) fn new(spec: &MapSpec) -> Self {
        let entries = match spec.max_entries {
            0 => CPUS,
            entries => entries,
        };
        let buffers = entries.min(CPUS) as usize;
        Self {
            entries,
            records: vec![Vec::new(); buffers],
            used: vec![0; buffers],
            lost: 0,
        }
    }

    pub(crate) fn step(&mut self, map: &Map, [what, len, fill, how]: Op) {
        let cpu = u32::from(how) % CPUS;
        let buffers = map.perf().expect("it is a perf event array");
        match what % 4 {
            0 => {
                let mut seen = vec![Vec::new(); self.records.len()];
                let count =
                    buffers.consume(|cpu, record| seen[cpu.get() as usize].push(record.to_vec()));
                assert_eq!(count, Ok(self.records.iter().map(Vec::len).sum()));
                assert_eq!(seen, self.records);
                self.records.iter_mut().for_each(Vec::clear);
                self.used.fill(0);
            }
            1 => self.output(map, cpu, u64::from(fill) % 8, vec![fill; usize::from(len)]),
            _ => self.output(map, cpu, 0xffff_ffff, vec![fill; usize::from(len) * 32]),
        }
        assert_eq!(map.stats().lost, self.lost);
        assert_eq!(buffers.ring(CpuId::new(CPUS)).map(drop), None);
        check_always(map);
    }

    fn output(&mut self, map: &Map, cpu: u32, flags: u64, data: Vec<u8>) {
        let index = if flags == 0xffff_ffff {
            cpu
        } else {
            flags as u32
        };
        let need = 8 + (data.len() as u32).next_multiple_of(8);
        let expected = if index >= self.entries {
            let limit = self.entries;
            Err(MapError::IndexOutOfRange { index, limit })
        } else if index as usize >= self.records.len() {
            Err(MapError::NotFound)
        } else if index != cpu {
            Err(MapError::OtherCpu {
                cpu: index,
                current: cpu,
            })
        } else if self.used[cpu as usize] + need > PERF_BUFFER_SIZE {
            self.lost += 1;
            Err(MapError::RingFull {
                len: data.len() as u32,
            })
        } else {
            self.used[cpu as usize] += need;
            Ok(())
        };
        let buffers = map.perf().expect("it is a perf event array");
        assert_eq!(buffers.output(&hit_on(cpu), flags, &data), expected);
        if expected.is_ok() {
            self.records[cpu as usize].push(data);
        }
    }
}
