//! Each kind of map against a simple model of it, for random sequences of operations.
#![cfg(not(loom))]

mod ops;
mod support;

use axebpf_maps::MapKind;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn array(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::Array, shape, &ops);
    }

    #[test]
    fn per_cpu_array(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::PerCpuArray, shape, &ops);
    }

    #[test]
    fn hash(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::Hash, shape, &ops);
    }

    #[test]
    fn per_cpu_hash(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::PerCpuHash, shape, &ops);
    }

    #[test]
    fn lru_hash(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::LruHash, shape, &ops);
    }

    #[test]
    fn lru_per_cpu_hash(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::LruPerCpuHash, shape, &ops);
    }

    #[test]
    fn queue(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::Queue, shape, &ops);
    }

    #[test]
    fn stack(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::Stack, shape, &ops);
    }

    #[test]
    fn perf_event_array(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::PerfEventArray, shape, &ops);
    }

    #[test]
    fn prog_array(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::ProgArray, shape, &ops);
    }

    #[test]
    fn stack_trace(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::StackTrace, shape, &ops);
    }

    #[test]
    fn array_of_maps(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::ArrayOfMaps, shape, &ops);
    }

    #[test]
    fn hash_of_maps(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::HashOfMaps, shape, &ops);
    }

    #[test]
    fn bloom_filter(shape: [u8; 3], ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::BloomFilter, shape, &ops);
    }

    #[test]
    fn ring_buffer(ops in vec(any::<ops::Op>(), 0..100)) {
        ops::run(MapKind::RingBuf, [0; 3], &ops);
    }

    #[test]
    fn small_records(ops in vec(any::<ops::Op>(), 0..400)) {
        let small: Vec<_> = ops.into_iter().map(|[what, len, fill, which]| [what, len % 4, fill, which]).collect();
        ops::run(MapKind::RingBuf, [0; 3], &small);
    }

    #[test]
    fn bytes_of_a_fuzzer(input in vec(any::<u8>(), 0..400)) {
        ops::run_bytes(&input);
    }
}
