//! Broken objects: cut off anywhere, with bits flipped, of the wrong kind.

use axebpf_hit as _;
use axebpf_vm::{LoadError, LoadOptions, MAX_OBJECT_BYTES, ObjectFile};
use proptest::prelude::*;

const OBJECTS: [&[u8]; 4] = [
    include_bytes!("objects/counters.o"),
    include_bytes!("objects/calls.o"),
    include_bytes!("objects/ring.o"),
    include_bytes!("objects/legacy.o"),
];

/// Parses and loads; what comes of it does not matter as long as it comes.
fn try_load(elf: &[u8]) {
    if let Ok(file) = ObjectFile::parse(elf) {
        let _ = file.load(&LoadOptions::new().with_cpus(1));
    }
}

#[test]
fn objects_cut_off_anywhere_are_refused() {
    for object in OBJECTS {
        for len in 0..object.len() {
            // The section headers come last, so that no part of an object is one.
            assert!(
                ObjectFile::parse(&object[..len]).is_err(),
                "{len} of {}",
                object.len()
            );
        }
    }
}

#[test]
fn every_byte_inverted() {
    for object in OBJECTS {
        let mut bytes = object.to_vec();
        for at in 0..bytes.len() {
            bytes[at] ^= 0xff;
            // Loading, which can take a while when there are many entries now, is left to the tests below.
            let _ = ObjectFile::parse(&bytes);
            bytes[at] ^= 0xff;
        }
    }
}

proptest! {
    #[test]
    fn flipped_bits_do_no_harm(
        object in 0..OBJECTS.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..20),
    ) {
        let mut bytes = OBJECTS[object].to_vec();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        try_load(&bytes);
    }

    #[test]
    fn anything_is_no_object(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        try_load(&bytes);
    }
}

fn parse_error(elf: &[u8]) -> LoadError {
    ObjectFile::parse(elf).expect_err("a broken object")
}

/// Offsets in the ELF header: byte order, type, machine.
const DATA: usize = 5;
const TYPE: usize = 16;
const MACHINE: usize = 18;

#[test]
fn other_files_are_named() {
    assert!(matches!(parse_error(b""), LoadError::NotElf { .. }));
    assert!(matches!(
        parse_error(b"#!/bin/sh\n"),
        LoadError::NotElf { .. }
    ));
    let mut object = OBJECTS[0].to_vec();
    object[DATA] = 2;
    assert_eq!(parse_error(&object), LoadError::BigEndian);
    let mut object = OBJECTS[0].to_vec();
    object[MACHINE] = 183;
    assert_eq!(
        parse_error(&object),
        LoadError::NotBpf {
            machine: 183,
            kind: 1
        }
    );
    let mut object = OBJECTS[0].to_vec();
    object[TYPE] = 2;
    assert_eq!(
        parse_error(&object),
        LoadError::NotBpf {
            machine: 247,
            kind: 2
        }
    );
    let large = vec![0; MAX_OBJECT_BYTES + 1];
    let (len, limit) = (MAX_OBJECT_BYTES + 1, MAX_OBJECT_BYTES);
    assert_eq!(parse_error(&large), LoadError::TooLarge { len, limit });
}

/// Puts `new` wherever `old` is, both of one length.
fn patched(object: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = object.to_vec();
    let mut found = 0;
    for at in 0..bytes.len() - old.len() {
        if bytes[at..].starts_with(old) {
            bytes[at..at + new.len()].copy_from_slice(new);
            found += 1;
        }
    }
    assert_ne!(found, 0, "nothing to replace");
    bytes
}

#[test]
fn unknown_sections_are_named() {
    let object = patched(
        OBJECTS[3],
        b"kprobe/do_sys_open\0",
        b"xdp/do_something_\0\0",
    );
    let error = parse_error(&object);
    assert!(
        error.to_string().contains("\"xdp/do_something_\""),
        "{error}"
    );
    let object = patched(OBJECTS[0], b"tp/vmm/vm_destroy\0", b"tp/vmm_vm_destroy\0");
    let error = parse_error(&object);
    assert!(error.to_string().contains("vmm_vm_destroy"), "{error}");
}

#[test]
fn impossible_maps_are_named() {
    // The definition of `second`: hash, keys of 8, values of 4, 16 entries.
    let second = |key: u32, value: u32, entries: u32, kind: u32| {
        let bytes = |numbers: [u32; 4]| numbers.map(u32::to_le_bytes).concat();
        let (old, new) = (bytes([1, 8, 4, 16]), bytes([kind, key, value, entries]));
        let object = patched(OBJECTS[3], &old, &new);
        let file = ObjectFile::parse(&object);
        let error = file.and_then(|file| file.load(&LoadOptions::new().with_cpus(1)).map(|_| ()));
        error.expect_err("an impossible map").to_string()
    };
    for error in [
        second(0, 4, 16, 1),
        second(8, 0, 16, 1),
        second(8, 4, 0, 1),
        second(8, 4, u32::MAX, 1),
        second(u32::MAX, u32::MAX, u32::MAX, 1),
        second(8, 4, 16, 999),
    ] {
        assert!(error.starts_with("map \"second\": "), "{error}");
    }
}

/// Returns the offsets of the relocations of code in an object.
fn code_relocations(object: &[u8]) -> Vec<usize> {
    let number = |at: usize, len: usize| {
        object[at..at + len]
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, count) = (number(0x28, 8), number(0x3c, 2));
    let headers = (0..count).map(|index| table + index * 64);
    let is_code = |section: usize| number(table + section * 64 + 8, 8) & 4 != 0;
    headers
        .filter(|header| number(header + 4, 4) == 9 && is_code(number(header + 0x2c, 4)))
        .flat_map(|header| {
            let (start, size) = (number(header + 0x18, 8), number(header + 0x20, 8));
            (start..start + size).step_by(16)
        })
        .collect()
}

#[test]
fn relocations_are_named() {
    let relocations = code_relocations(OBJECTS[3]);
    assert_eq!(relocations.len(), 2);
    for kind in [0, 2, 10, 99] {
        let mut bytes = OBJECTS[3].to_vec();
        for at in &relocations {
            bytes[at + 8] = kind;
        }
        let error = parse_error(&bytes);
        assert!(
            matches!(&error, LoadError::BadRelocation { kind: named, section, .. }
                if *named == u32::from(kind) && section == "kprobe/do_sys_open"),
            "{error}"
        );
    }
    // Symbol 0 is defined nowhere; symbol 255 does not exist.
    for (symbol, expected) in [(0, "not defined"), (255, "no symbol 255")] {
        let mut bytes = OBJECTS[3].to_vec();
        bytes[relocations[1] + 12] = symbol;
        let error = parse_error(&bytes).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
