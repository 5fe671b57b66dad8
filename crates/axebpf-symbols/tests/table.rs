//! Looking things up in tables that the encoder wrote.

use axebpf_symbols::{AlignedBytes, Encoder, Glob, Slide, SymbolError, SymbolTable};

const LEGACY: &str = "_ZN3hyp4vcpu3run17h0123456789abcdefE";
const V0: &str = "_RNvNtCs1234_7mycrate3foo3bar";

/// Writes a table of the given symbols: name, address, size, type.
fn encode(symbols: &[(&str, u64, u64, char)]) -> AlignedBytes {
    let mut encoder = Encoder::new();
    for &(name, addr, size, kind) in symbols {
        encoder.push(name, addr, size, kind).unwrap();
    }
    AlignedBytes::copy_of(&encoder.finish().unwrap()).unwrap()
}

fn describe(table: &SymbolTable<'_>, addr: u64) -> Option<String> {
    table.lookup_address(addr).map(|l| l.to_string())
}

#[test]
fn an_address_past_the_true_size_matches_nothing() {
    let bytes = encode(&[("a", 0x1000, 0x10, 'T'), ("b", 0x2000, 4, 't')]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert_eq!(describe(&table, 0xfff), None);
    assert_eq!(describe(&table, 0x1000).unwrap(), "a+0x0/0x10");
    assert_eq!(describe(&table, 0x100f).unwrap(), "a+0xf/0x10");
    assert_eq!(describe(&table, 0x1010), None);
    assert_eq!(describe(&table, 0x2003).unwrap(), "b+0x3/0x4");
    assert_eq!(describe(&table, 0x2004), None);
    assert_eq!(describe(&table, u64::MAX), None);
}

#[test]
fn a_symbol_of_unknown_size_covers_its_start_alone() {
    let bytes = encode(&[("label", 0x1000, 0, 'T'), ("last", 0x1800, 0, 'T')]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert_eq!(describe(&table, 0x1000).unwrap(), "label+0x0/0x0");
    assert_eq!(describe(&table, 0x1001), None);
    assert_eq!(describe(&table, 0x1800).unwrap(), "last+0x0/0x0");
}

#[test]
fn the_innermost_of_nested_symbols_wins() {
    let bytes = encode(&[
        ("outer", 0x1000, 0x100, 'T'),
        ("middle", 0x1020, 0x40, 'T'),
        ("label", 0x1030, 0, 't'),
        ("inner", 0x1040, 8, 't'),
        ("next", 0x1100, 4, 'T'),
    ]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    for (addr, expected) in [
        (0x1008, "outer+0x8/0x100"),
        (0x1024, "middle+0x4/0x40"),
        (0x1030, "label+0x0/0x0"),
        (0x1034, "middle+0x14/0x40"),
        (0x1044, "inner+0x4/0x8"),
        (0x1048, "middle+0x28/0x40"),
        (0x1060, "outer+0x60/0x100"),
        (0x10ff, "outer+0xff/0x100"),
        (0x1100, "next+0x0/0x4"),
    ] {
        assert_eq!(
            describe(&table, addr).as_deref(),
            Some(expected),
            "{addr:#x}"
        );
    }
}

#[test]
fn of_aliases_the_first_that_reaches_far_enough_is_shown() {
    let bytes = encode(&[
        ("a_label", 0x1000, 0, 'T'),
        ("short", 0x1000, 4, 't'),
        ("b_long", 0x1000, 8, 't'),
        ("long", 0x1000, 8, 'T'),
    ]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    for addr in 0x1000..0x1008 {
        let found = table.lookup_address(addr).unwrap();
        assert_eq!(found.symbol.name(), "long");
    }
}

#[test]
fn names_are_found_mangled_and_demangled() {
    let bytes = encode(&[
        (LEGACY, 0x1000, 8, 't'),
        (V0, 0x2000, 8, 'T'),
        ("plain", 0x3000, 8, 'T'),
    ]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    let address = |name: &str| table.lookup_name(name).map(|s| s.address());
    assert_eq!(address(LEGACY), Some(0x1000));
    assert_eq!(address("hyp::vcpu::run"), Some(0x1000));
    assert_eq!(address(V0), Some(0x2000));
    assert_eq!(address("mycrate::foo::bar"), Some(0x2000));
    assert_eq!(address("plain"), Some(0x3000));
    for absent in [
        "",
        "plai",
        "plain2",
        "hyp::vcpu::run::h0123456789abcdef",
        "zzz",
    ] {
        assert_eq!(address(absent), None, "{absent}");
    }
    assert_eq!(address(&"x".repeat(100_000)), None);
    let symbol = table.lookup_name(LEGACY).unwrap();
    assert_eq!(symbol.demangled(), "hyp::vcpu::run");
    assert_eq!(format!("[{symbol:>16}]"), "[  hyp::vcpu::run]");
    assert_eq!((symbol.size(), symbol.kind()), (8, 't'));
}

#[test]
fn methods_are_found_without_their_brackets() {
    // `<mycrate::Vcpu>::run`, `<mycrate::Vcpu as core::fmt::Debug>::fmt`, `<[u8]>::len`,
    // `<mycrate::Foo<fn() -> u8>>::bar`.
    let method = "_RNvMCs1234_7mycrateNtB2_4Vcpu3run";
    let of_trait = "_RNvXCs1234_7mycrateNtB2_4VcpuNtNtCs5678_4core3fmt5Debug3fmt";
    let of_slice = "_RNvMCs1234_7mycrateSh3len";
    let generic = "_RNvMCs1234_7mycrateINtB2_3FooFEhE3bar";
    let bytes = encode(&[
        (method, 0x1000, 8, 't'),
        (of_trait, 0x2000, 8, 't'),
        (of_slice, 0x3000, 8, 't'),
        (generic, 0x4000, 8, 't'),
    ]);
    // With the index of demangled names, and without it.
    let blob = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for part in [&bytes[..], &bytes[..blob]] {
        let table = SymbolTable::from_blob(part, Slide::ZERO).unwrap();
        let address = |name: &str| table.lookup_name(name).map(|s| s.address());
        assert_eq!(address("<mycrate::Vcpu>::run"), Some(0x1000));
        assert_eq!(address("mycrate::Vcpu::run"), Some(0x1000));
        assert_eq!(
            address("<mycrate::Vcpu as core::fmt::Debug>::fmt"),
            Some(0x2000)
        );
        assert_eq!(address("mycrate::Vcpu as core::fmt::Debug::fmt"), None);
        assert_eq!(address("<[u8]>::len"), Some(0x3000));
        assert_eq!(address("[u8]::len"), None);
        assert_eq!(address("<mycrate::Foo<fn() -> u8>>::bar"), Some(0x4000));
        assert_eq!(address("mycrate::Foo<fn() -> u8>::bar"), Some(0x4000));
        let glob = Glob::new("mycrate::*").unwrap();
        assert_eq!(table.matching(&glob).count(), 2);
        assert_eq!(
            table.suggest("mycrate::Vcpu::ran", 1),
            ["mycrate::Vcpu::run"]
        );
    }
}

#[test]
fn all_symbols_of_one_name_are_found() {
    let other = "_ZN3hyp4vcpu3run17hfedcba9876543210E";
    let bytes = encode(&[
        (other, 0x900, 8, 't'),
        (LEGACY, 0x1000, 8, 't'),
        ("dup", 0x3000, 8, 't'),
        ("dup", 0x2000, 8, 't'),
        ("dup", 0x2000, 8, 't'),
    ]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert_eq!(table.len(), 4);
    let mut found: Vec<_> = table
        .lookup_names("hyp::vcpu::run")
        .map(|s| s.address())
        .collect();
    found.sort_unstable();
    assert_eq!(found, [0x900, 0x1000]);
    assert_eq!(
        table.lookup_name("hyp::vcpu::run").unwrap().address(),
        0x900
    );
    let dups: Vec<_> = table.lookup_names("dup").map(|s| s.address()).collect();
    assert_eq!(dups, [0x2000, 0x3000]);
    assert_eq!(table.lookup_name("dup").unwrap().address(), 0x2000);
}

#[test]
fn globs_match_either_name_up_to_a_limit() {
    let names: Vec<String> = (0..100).map(|i| format!("fn_{i:03}")).collect();
    let mut symbols: Vec<_> = (0x1000..).step_by(16).zip(&names).collect::<Vec<_>>();
    symbols.reverse();
    let mut symbols: Vec<_> = symbols
        .iter()
        .map(|(a, n)| (n.as_str(), *a, 16, 'T'))
        .collect();
    symbols.push((LEGACY, 0x100, 8, 't'));
    let bytes = encode(&symbols);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    let named = |pattern: &str, limit: usize| -> Vec<String> {
        let glob = Glob::new(pattern).unwrap();
        table
            .matching(&glob)
            .take(limit)
            .map(|s| s.to_string())
            .collect()
    };
    assert_eq!(named("fn_01?", 3), ["fn_010", "fn_011", "fn_012"]);
    assert_eq!(named("fn_*", 1000).len(), 100);
    assert_eq!(named("hyp::*", 10), ["hyp::vcpu::run"]);
    assert_eq!(named("_ZN3hyp*", 10), ["hyp::vcpu::run"]);
    assert!(named("nothing*", 10).is_empty());
    assert_eq!(table.iter().len(), 101);
    assert!(table.iter().map(|s| s.address()).is_sorted());
}

#[test]
fn a_slide_moves_everything_and_wraps_nothing() {
    let bytes = encode(&[("a", 0x8000_0000, 0x10, 'T'), ("b", 0x8000_1000, 8, 'T')]);
    let high = 0xffff_8000_0000_0000;
    let table = SymbolTable::from_blob(&bytes, Slide::between(0x8000_0000, high)).unwrap();
    assert_eq!(table.lookup_name("b").unwrap().address(), high + 0x1000);
    assert_eq!(describe(&table, high + 0x1004).unwrap(), "b+0x4/0x8");
    assert_eq!(describe(&table, 0x8000_0000), None);
    assert!(SymbolTable::from_blob(&bytes, Slide::between(0x8000_0000, 0)).is_ok());
    let end = u64::MAX - 0x1008;
    assert!(SymbolTable::from_blob(&bytes, Slide::between(0x8000_0000, end)).is_ok());
    let past = SymbolTable::from_blob(&bytes, Slide::between(0x8000_0000, end + 1));
    assert!(matches!(
        past,
        Err(SymbolError::AddressOverflow {
            addr: 0x8000_1000,
            ..
        })
    ));
}

#[test]
fn an_empty_table_finds_nothing() {
    let bytes = encode(&[]);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert!(table.is_empty());
    assert_eq!(table.lookup_name("a"), None);
    assert_eq!(table.lookup_address(0), None);
    assert_eq!(table.matching(&Glob::new("*").unwrap()).count(), 0);
}
