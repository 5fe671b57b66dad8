//! Suggestions for names that do not exist.

use axebpf_symbols::{AlignedBytes, Encoder, Slide, SymbolTable, nearest};
use proptest::prelude::*;

#[test]
fn symbols_are_suggested_by_their_last_part_or_all_of_it() {
    let mut encoder = Encoder::new();
    for (name, addr) in [
        ("_ZN3hyp4vcpu3run17h0123456789abcdefE", 0x1000),
        ("_ZN3hyp4vcpu3run17hfedcba9876543210E", 0x1100),
        ("_ZN3hyp4vcpu4halt17h0123456789abcdefE", 0x2000),
        ("handle_exit", 0x3000),
        ("handle_exits", 0x4000),
    ] {
        encoder.push(name, addr, 8, 'T').unwrap();
    }
    let bytes = AlignedBytes::copy_of(&encoder.finish().unwrap()).unwrap();
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    assert_eq!(table.suggest("run", 5), ["hyp::vcpu::run"]);
    assert_eq!(
        table.suggest("hyp::vcpu::hlt", 5),
        ["hyp::vcpu::halt", "hyp::vcpu::run"]
    );
    assert_eq!(
        table.suggest("handle_exi", 5),
        ["handle_exit", "handle_exits"]
    );
    assert_eq!(table.suggest("handle_exi", 1), ["handle_exit"]);
    assert!(table.suggest("handle_exit", 0).is_empty());
    assert!(table.suggest("something_else", 5).is_empty());
    assert!(table.suggest(&"x".repeat(1 << 20), 5).is_empty());
}

#[test]
fn a_mistake_in_a_short_name_counts_more() {
    assert!(nearest("ab", ["xy"], 3).is_empty());
    assert_eq!(nearest("ab", ["abc", "b"], 3), ["abc", "b"]);
}

proptest! {
    #[test]
    fn a_name_with_one_change_is_found(name in "[a-z]{1,20}", at in 0..20_usize) {
        let mut changed = name.clone();
        let at = at % name.len();
        changed.replace_range(at..=at, "");
        prop_assert_eq!(nearest(&changed, [name.as_str()], 1), [name.clone()]);
        prop_assert_eq!(nearest(&name, [changed.as_str()], 1), [changed.clone()]);
    }

    #[test]
    fn never_panics(name in any::<String>(), candidates in any::<Vec<String>>(), limit in 0..4_usize) {
        let found = nearest(&name, candidates.iter().map(String::as_str), limit);
        prop_assert!(found.len() <= limit);
    }
}
