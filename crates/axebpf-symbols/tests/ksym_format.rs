//! That the first part of a table is `ksym`'s format: its reader takes ours, and ours takes its writer's.

use axebpf_symbols::{AlignedBytes, Encoder, Glob, Slide, SymbolTable};
use ksym::{KSYM_NAME_LEN, KallsymsMapped};
use proptest::prelude::*;

/// What the writer of `ksym` 0.6.0 (its program `gen_ksym`) makes of ten symbols.
const BY_KSYM: &[u8] = include_bytes!("data/ksym-0.6-writer.bin");

fn aligned(bytes: &[u8]) -> AlignedBytes {
    AlignedBytes::copy_of(bytes).unwrap()
}

#[test]
fn a_blob_of_ksyms_own_writer_is_read() {
    let bytes = aligned(BY_KSYM);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert_eq!(table.len(), 10);
    let address = |name: &str| table.lookup_name(name).map(|s| s.address());
    assert_eq!(address("do_fork_2"), Some(0x1300));
    assert_eq!(address("cpu_startup_entry"), Some(0x1200));
    assert_eq!(table.lookup_names("cpu_startup_entry").count(), 2);
    // There is no index of demangled names, and still they are found.
    assert_eq!(address("axtask::task::TaskInner::sleep"), Some(0x1540));
    assert_eq!(address("mycrate::foo::bar"), Some(0x1600));
    let at = |addr| table.lookup_address(addr).map(|l| l.to_string());
    assert_eq!(at(0x1250).unwrap(), "cpu_startup_entry+0x50/0x100");
    assert_eq!(at(0x1300).unwrap(), "alias_do_fork+0x0/0x100");
    assert_eq!(at(0x1700).unwrap(), "größe+0x0/0x0");
    assert_eq!(at(0x1701), None);
    let glob = Glob::new("gr?ße").unwrap();
    assert_eq!(table.matching(&glob).count(), 1);
}

/// Cuts the sidecar off: `ksym` wants the blob and nothing else.
fn blob_of(bytes: &[u8]) -> AlignedBytes {
    let total = KallsymsMapped::check_total_bytes(bytes).unwrap();
    aligned(&bytes[..total as usize])
}

/// Checks that both readers say the same about the table in `bytes`.
fn compare(bytes: &[u8]) {
    let table = SymbolTable::from_blob(bytes, Slide::ZERO).unwrap();
    let blob = blob_of(bytes);
    let end = table
        .iter()
        .last()
        .map_or(0, |s| s.address() + s.size().max(1));
    let ksym = KallsymsMapped::from_blob(&blob, 0, end).unwrap();
    let mut buf = [0; KSYM_NAME_LEN];
    for symbol in &table {
        let name = symbol.name().to_string();
        assert_eq!(
            ksym.lookup_name(&name),
            table.lookup_name(&name).map(|s| s.address())
        );
        let ours = table.lookup_address(symbol.address()).unwrap();
        let (name, _, offset, kind) = ksym.lookup_address(symbol.address(), &mut buf).unwrap();
        assert_eq!(
            (name, offset),
            (&*ours.symbol.name().to_string(), ours.offset)
        );
        assert_eq!(kind, ours.symbol.kind());
    }
    let dump: String = table
        .iter()
        .map(|s| format!("{:016x} {} {}\n", s.address(), s.kind(), s.name()))
        .collect();
    assert_eq!(ksym.dump_all_symbols(), dump);
}

#[test]
fn the_reader_of_ksym_takes_more_prefixes_than_one_byte_can_number() {
    let mut encoder = Encoder::new();
    for group in 0..700_u64 {
        for member in 0..4 {
            let name = format!("{group:03}_a_prefix_that_is_shared_{member}");
            encoder
                .push(&name, 0x1000 * group + 16 * member, 16, 'T')
                .unwrap();
        }
    }
    let bytes = encoder.finish().unwrap();
    let plain: usize = 2800 * (16 + 3 + "000_a_prefix_that_is_shared_0".len());
    assert!(blob_of(&bytes).len() < plain * 3 / 4);
    compare(&aligned(&bytes));
}

#[test]
fn the_longest_names_are_kept_whole() {
    let mut encoder = Encoder::new();
    for last in ['a', 'b', 'c'] {
        let name = format!("{}{last}", "n".repeat(KSYM_NAME_LEN - 1));
        encoder.push(&name, u64::from(last), 1, 'T').unwrap();
    }
    assert!(
        encoder
            .push(&"n".repeat(KSYM_NAME_LEN + 1), 0, 1, 'T')
            .is_err()
    );
    compare(&aligned(&encoder.finish().unwrap()));
}

proptest! {
    #[test]
    fn both_readers_agree(symbols in prop::collection::vec(
        ("[ab_]{1,3}(::)?[a-zü]{1,12}", 0..200_u64, 1..64_u64, "[TtDdBbRr]"), 0..80))
    {
        let mut encoder = Encoder::new();
        for (name, addr, size, kind) in &symbols {
            encoder.push(name, *addr, *size, kind.chars().next().unwrap()).unwrap();
        }
        compare(&aligned(&encoder.finish().unwrap()));
    }
}
