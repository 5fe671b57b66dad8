//! Specifications that are refused, each with the limit that it breaks, and what the others get.
#![cfg(not(loom))]

mod support;

use axebpf_maps::{
    MAX_MAP_BYTES, MAX_NAME_LEN, MAX_RECORD_LEN, Map, MapError, MapFlags, MapKind, MapSpec,
    RingBuf, UpdateFlags,
};
use support::{create, install};

fn refusal(spec: &MapSpec) -> MapError {
    install();
    Map::create(spec, 2).expect_err("the specification is wrong")
}

#[test]
fn kinds_have_the_numbers_of_linux() {
    for number in [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 22, 23, 27, 30] {
        assert_eq!(MapKind::try_from(number).map(MapKind::number), Ok(number));
    }
    for kind in [0, 8, 11, 14, 21, 24, 26, 28, 29, 31, u32::MAX] {
        assert_eq!(MapKind::try_from(kind), Err(MapError::UnknownKind { kind }));
    }
}

#[test]
fn key_sizes() {
    for (kind, size, min, max) in [
        (MapKind::Hash, 0, 1, 512),
        (MapKind::Hash, 513, 1, 512),
        (MapKind::PerCpuHash, u32::MAX, 1, 512),
        (MapKind::Array, 8, 4, 4),
        (MapKind::PerCpuArray, 0, 4, 4),
        (MapKind::RingBuf, 4, 0, 0),
    ] {
        let value_size = if kind == MapKind::RingBuf { 0 } else { 8 };
        let error = refusal(&MapSpec::new(kind, size, value_size, 4096));
        assert_eq!(
            error,
            MapError::KeySize {
                kind,
                size,
                min,
                max
            }
        );
        assert_eq!(error.errno(), -22);
    }
}

#[test]
fn value_sizes() {
    for (kind, key_size, size, max) in [
        (MapKind::Hash, 4, 0, 16 << 20),
        (MapKind::Hash, 4, u32::MAX, 16 << 20),
        (MapKind::Array, 4, (16 << 20) + 1, 16 << 20),
        (MapKind::PerCpuHash, 4, (32 << 10) + 1, 32 << 10),
        (MapKind::PerCpuArray, 4, 0, 32 << 10),
        (MapKind::RingBuf, 0, 8, 0),
    ] {
        let min = max.min(1);
        let error = refusal(&MapSpec::new(kind, key_size, size, 4096));
        assert_eq!(
            error,
            MapError::ValueSize {
                kind,
                size,
                min,
                max
            }
        );
    }
}

#[test]
fn numbers_of_entries() {
    let max = i32::MAX as u32;
    for kind in [
        MapKind::Hash,
        MapKind::Array,
        MapKind::PerCpuHash,
        MapKind::PerCpuArray,
    ] {
        for entries in [0, max + 1, u32::MAX] {
            let error = refusal(&MapSpec::new(kind, 4, 8, entries));
            assert_eq!(
                error,
                MapError::Entries {
                    kind,
                    entries,
                    min: 1,
                    max
                }
            );
        }
        // More than the address space of some machines; no product on the way may overflow.
        for (value_size, entries) in [(8, max), (32 << 10, max), (32 << 10, 1 << 20)] {
            match refusal(&MapSpec::new(kind, 4, value_size, entries)) {
                MapError::TooLarge { bytes, limit } => {
                    assert!(bytes >= u64::from(value_size) * u64::from(entries));
                    assert_eq!(limit, MAX_MAP_BYTES);
                }
                error => panic!("{error}"),
            }
        }
    }
}

#[test]
fn ring_sizes() {
    for size in [
        0,
        1,
        2048,
        4095,
        4097,
        12288,
        (64 << 20) + 1,
        1 << 31,
        u32::MAX,
    ] {
        let (min, max) = (4096, 64 << 20);
        assert_eq!(
            refusal(&MapSpec::ring(size)),
            MapError::RingSize { size, min, max }
        );
    }
    for (asked, size) in [
        (0, None),
        (1, Some(4096)),
        (4097, Some(8192)),
        (64 << 20, Some(64 << 20)),
        ((64 << 20) + 1, None),
    ] {
        assert_eq!(RingBuf::size_for(asked), size);
        if let Some(size) = size {
            let map = create(&MapSpec::ring(size));
            let ring = map.ring().expect("it is a ring buffer");
            assert_eq!(ring.positions().size, u64::from(size));
            assert_eq!(ring.max_record_len(), MAX_RECORD_LEN.min(size - 8));
        }
    }
}

#[test]
fn unknown_and_contradicting_flags() {
    let bits = |flags: u32| MapFlags::from_bits_retain(flags);
    for (kind, flags, wrong) in [
        (MapKind::Hash, 1 << 2, 1 << 2),
        (MapKind::Hash, 0xffff_ffff, !0b1_1101_1001),
        (MapKind::Array, 1, 1),
        (MapKind::Array, 1 << 6, 1 << 6),
        (MapKind::PerCpuArray, 1 << 10, 1 << 10),
        (MapKind::PerCpuHash, 1 << 1, 1 << 1),
        (MapKind::RingBuf, 1 << 7, 1 << 7),
    ] {
        let (key_size, value_size) = if kind == MapKind::RingBuf {
            (0, 0)
        } else {
            (4, 8)
        };
        let spec = MapSpec::new(kind, key_size, value_size, 4096).with_flags(bits(flags));
        assert_eq!(
            refusal(&spec),
            MapError::UnsupportedFlags { kind, flags: wrong }
        );
    }
    for flags in [
        MapFlags::RDONLY | MapFlags::WRONLY,
        MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG,
    ] {
        let spec = MapSpec::new(MapKind::Hash, 4, 8, 1).with_flags(flags);
        assert_eq!(refusal(&spec), MapError::ConflictingFlags { flags });
    }
    let accepted = MapFlags::NO_PREALLOC | MapFlags::ZERO_SEED;
    create(&MapSpec::new(MapKind::Hash, 4, 8, 1).with_flags(accepted));
    create(&MapSpec::new(MapKind::Array, 4, 8, 1).with_flags(MapFlags::MMAPABLE));
}

#[test]
fn names_and_cpus() {
    let long = "x".repeat(MAX_NAME_LEN + 1);
    let spec = MapSpec::new(MapKind::Array, 4, 8, 1);
    let error = MapError::NameTooLong {
        len: MAX_NAME_LEN + 1,
        limit: MAX_NAME_LEN,
    };
    assert_eq!(refusal(&spec.clone().named(&long)), error);
    assert_eq!(create(&spec.clone().named(&long[1..])).name(), &long[1..]);
    for cpus in [0, 65, u32::MAX] {
        assert_eq!(
            Map::create(&spec, cpus).err(),
            Some(MapError::CpuCount { cpus, limit: 64 })
        );
    }
}

#[test]
fn update_flags_have_the_values_of_linux() {
    assert_eq!(UpdateFlags::try_from(0), Ok(UpdateFlags::Any));
    assert_eq!(UpdateFlags::try_from(1), Ok(UpdateFlags::NoExist));
    assert_eq!(UpdateFlags::try_from(2), Ok(UpdateFlags::Exist));
    for flags in [3, 4, u64::MAX] {
        let error = MapError::UnknownUpdateFlags { flags };
        assert_eq!(UpdateFlags::try_from(flags), Err(error));
        assert_eq!(error.errno(), -22);
    }
}

#[test]
fn the_largest_sizes_work() {
    create(&MapSpec::new(MapKind::Array, 4, 16 << 20, 2));
    create(&MapSpec::new(MapKind::PerCpuArray, 4, 32 << 10, 100));
    create(&MapSpec::new(MapKind::Hash, 512, 1, 100_000));
}

#[test]
fn maps_tell_how_much_memory_they_take() {
    assert_eq!(
        create(&MapSpec::new(MapKind::Array, 4, 8, 100)).memory(),
        104 * 8
    );
    assert_eq!(
        create(&MapSpec::new(MapKind::PerCpuArray, 4, 8, 100)).memory(),
        3 * 104 * 8
    );
    // Two areas, and a bit for each 8 bytes of the first.
    assert_eq!(create(&MapSpec::ring(4096)).memory(), 2 * 4096 + 64);
    let hash = create(&MapSpec::new(MapKind::Hash, 4, 8, 1000)).memory();
    assert!((16_000..100_000).contains(&hash), "{hash}");
}
