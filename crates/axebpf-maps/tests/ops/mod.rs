//! Operation sequences, run on a map and on a simple model of it at once.
//!
//! Every sequence of bytes is a sequence of operations, so that property tests and fuzzers can use it alike.

mod bloom;
mod keyed;
mod perf;
mod queue;
mod ring;
mod slots;
mod stacks;

use axebpf_maps::{Map, MapKind, MapSpec};

use self::{
    bloom::Bloom, keyed::Keyed, perf::Perf, queue::Queue, ring::Ring, slots::Slots, stacks::Stacks,
};
use crate::support;

/// One operation, four bytes: what, on which key, with which value, how.
pub(crate) type Op = [u8; 4];

/// Makes a map of `kind`, with sizes chosen by `shape`, and compares it with its model after each of `ops`.
pub(crate) fn run(kind: MapKind, shape: [u8; 3], ops: &[Op]) {
    let spec = spec(kind, shape);
    let map = support::create(&spec);
    match kind {
        MapKind::RingBuf => {
            let mut model = Ring::new();
            ops.iter().for_each(|&op| model.step(&map, op));
        }
        MapKind::PerfEventArray => {
            let mut model = Perf::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
        }
        MapKind::Queue | MapKind::Stack => {
            let mut model = Queue::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
        }
        MapKind::BloomFilter => {
            let mut model = Bloom::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
        }
        MapKind::StackTrace => {
            let mut model = Stacks::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
            model.compare(&map);
        }
        MapKind::ProgArray | MapKind::ArrayOfMaps | MapKind::HashOfMaps => {
            let mut model = Slots::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
            model.compare(&map);
        }
        _ => {
            let mut model = Keyed::new(&spec);
            ops.iter().for_each(|&op| model.step(&map, op));
            model.compare(&map);
        }
    }
}

/// Splits the input of a fuzzer: kind, shape, operations.
#[allow(dead_code, reason = "for fuzzers")]
pub(crate) fn run_bytes(input: &[u8]) {
    const KINDS: [MapKind; 15] = [
        MapKind::Array,
        MapKind::PerCpuArray,
        MapKind::Hash,
        MapKind::PerCpuHash,
        MapKind::RingBuf,
        MapKind::LruHash,
        MapKind::LruPerCpuHash,
        MapKind::Queue,
        MapKind::Stack,
        MapKind::PerfEventArray,
        MapKind::ProgArray,
        MapKind::StackTrace,
        MapKind::ArrayOfMaps,
        MapKind::HashOfMaps,
        MapKind::BloomFilter,
    ];
    if let Some((&[kind, a, b, c], ops)) = input.split_first_chunk() {
        run(
            KINDS[kind as usize % KINDS.len()],
            [a, b, c],
            ops.as_chunks().0,
        );
    }
}

fn spec(kind: MapKind, [key, value, entries]: [u8; 3]) -> MapSpec {
    const KEY_SIZES: [u32; 5] = [1, 4, 8, 13, 512];
    const VALUE_SIZES: [u32; 6] = [1, 4, 8, 12, 24, 100];
    let key_size = KEY_SIZES[key as usize % KEY_SIZES.len()];
    let value_size = VALUE_SIZES[value as usize % VALUE_SIZES.len()];
    let template = MapSpec::new(MapKind::Array, 4, value_size, 2);
    let entries = u32::from(entries % 8) + 1;
    match kind {
        MapKind::RingBuf => MapSpec::ring(4096),
        MapKind::PerfEventArray => MapSpec::new(kind, 4, 4, entries - 1),
        MapKind::ProgArray => MapSpec::new(kind, 4, 4, entries),
        MapKind::ArrayOfMaps => MapSpec::new(kind, 4, 4, entries).with_inner(template),
        MapKind::HashOfMaps => MapSpec::new(kind, key_size, 4, entries).with_inner(template),
        MapKind::StackTrace => MapSpec::new(kind, 4, u32::from(value % 4 + 1) * 8, entries),
        MapKind::Queue | MapKind::Stack => MapSpec::new(kind, 0, value_size, entries),
        MapKind::BloomFilter => {
            MapSpec::new(kind, 0, value_size, entries * 4).with_extra(u64::from(key % 16))
        }
        MapKind::Array | MapKind::PerCpuArray => MapSpec::new(kind, 4, value_size, entries),
        _ => MapSpec::new(kind, key_size, value_size, entries),
    }
}

/// Tells what a map must say about itself whatever happened to it.
fn check_always(map: &Map) {
    let stats = map.stats();
    assert_eq!(stats.busy, 0, "nobody else uses the map");
    if let (Some(entries), false) = (stats.entries, map.kind() == MapKind::StackTrace) {
        assert!(entries <= map.spec().max_entries);
    }
}
