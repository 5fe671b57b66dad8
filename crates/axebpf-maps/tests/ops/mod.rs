//! Operation sequences, run on a map and on a simple model of it at once.
//!
//! Every sequence of bytes is a sequence of operations, so that property tests and fuzzers can use it alike.

mod keyed;
mod ring;

use axebpf_maps::{Map, MapKind, MapSpec};

pub(crate) use self::keyed::Keyed;
pub(crate) use self::ring::Ring;
use crate::support;

/// One operation, four bytes: what, on which key, with which value, how.
pub(crate) type Op = [u8; 4];

/// Makes a map of `kind`, with sizes chosen by `shape`, and compares it with its model after each of `ops`.
pub(crate) fn run(kind: MapKind, shape: [u8; 3], ops: &[Op]) {
    let spec = spec(kind, shape);
    let map = support::create(&spec);
    if kind == MapKind::RingBuf {
        let mut model = Ring::new();
        ops.iter().for_each(|&op| model.step(&map, op));
    } else {
        let mut model = Keyed::new(&spec);
        ops.iter().for_each(|&op| model.step(&map, op));
        model.compare(&map);
    }
}

/// Splits the input of a fuzzer: kind, shape, operations.
#[allow(dead_code, reason = "for fuzzers")]
pub(crate) fn run_bytes(input: &[u8]) {
    const KINDS: [MapKind; 5] = [
        MapKind::Array,
        MapKind::PerCpuArray,
        MapKind::Hash,
        MapKind::PerCpuHash,
        MapKind::RingBuf,
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
    let value_size = VALUE_SIZES[value as usize % VALUE_SIZES.len()];
    let entries = u32::from(entries % 8) + 1;
    match kind {
        MapKind::RingBuf => MapSpec::ring(4096),
        MapKind::Array | MapKind::PerCpuArray => MapSpec::new(kind, 4, value_size, entries),
        _ => {
            let key_size = KEY_SIZES[key as usize % KEY_SIZES.len()];
            MapSpec::new(kind, key_size, value_size, entries)
        }
    }
}

/// Tells what a map must say about itself whatever happened to it.
fn check_always(map: &Map) {
    let stats = map.stats();
    assert_eq!(stats.busy, 0, "nobody else uses the map");
    if let (Some(entries), false) = (stats.entries, map.kind() == MapKind::RingBuf) {
        assert!(entries <= map.spec().max_entries);
    }
}
