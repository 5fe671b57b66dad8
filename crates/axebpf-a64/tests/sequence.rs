//! Which places are between a load exclusive and its store.

use axebpf_a64::{ExclusiveSequence, exclusive_sequence};
use proptest::prelude::*;

const LDXR: u32 = 0xc85f_7c08; // ldxr x8, [x0]
const STXR: u32 = 0xc809_7c08; // stxr w9, x8, [x0]
const CLREX: u32 = 0xd503_3f5f;
const ADD: u32 = 0x8b01_0108; // add x8, x8, x1
const RET: u32 = 0xd65f_03c0;
const NOP: u32 = 0xd503_201f;

/// `b.ne` by this many instructions.
const fn branch_ne(distance: i32) -> u32 {
    0x5400_0001 | (distance.cast_unsigned() & 0x7_ffff) << 5
}

/// `b` by this many instructions.
const fn branch(distance: i32) -> u32 {
    0x1400_0000 | distance.cast_unsigned() & 0x3ff_ffff
}

/// `cbnz w9` by this many instructions.
const fn retry(distance: i32) -> u32 {
    0x3500_0009 | (distance.cast_unsigned() & 0x7_ffff) << 5
}

/// Returns the indices that are inside a sequence.
fn inside(words: &[u32]) -> Vec<usize> {
    let is_inside = |&index: &usize| exclusive_sequence(words, index).is_some();
    (0..words.len()).filter(is_inside).collect()
}

#[test]
fn a_loop_of_exclusives_is_one_sequence() {
    let add = [NOP, LDXR, ADD, NOP, STXR, retry(-4), RET];
    assert_eq!(inside(&add), [1, 2, 3, 4]);
    let sequence = ExclusiveSequence { load: 1, store: 4 };
    assert_eq!(exclusive_sequence(&add, 3), Some(sequence));
}

#[test]
fn every_kind_of_exclusive_counts() {
    for (load, store) in [
        (0x085f_7c08, 0x0809_7c08), // ldxrb, stxrb
        (0x485f_fc08, 0x4809_fc08), // ldaxrh, stlxrh
        (0x885f_fc08, 0x8809_fc08), // ldaxr, stlxr
        (0xc87f_2408, 0xc829_2408), // ldxp, stxp
        (0x887f_a408, 0x8829_a408), // ldaxp, stlxp
    ] {
        assert_eq!(inside(&[load, ADD, store, RET]), [0, 1, 2]);
    }
    // cas, casp, ldar and stlr are none.
    for word in [0xc8a0_7c41, 0x4820_7c82, 0xc8df_fc20, 0xc89f_fc20] {
        assert_eq!(inside(&[word, ADD, word, RET]), []);
    }
}

#[test]
fn branches_are_followed_out_and_back() {
    // Compare and exchange: what a failed comparison goes to is behind the sequence.
    let exchange = [LDXR, branch_ne(4), STXR, retry(-3), RET, CLREX, RET];
    assert_eq!(inside(&exchange), [0, 1, 2]);
    // Out of line: 5 and 6 come between, though they lie behind.
    let detour = [LDXR, branch_ne(4), STXR, retry(-3), RET, ADD, branch(-4)];
    assert_eq!(inside(&detour), [0, 1, 2, 5, 6]);
    // The store lies before the load.
    let backward = [NOP, STXR, retry(2), RET, LDXR, ADD, branch(-5)];
    assert_eq!(inside(&backward), [1, 4, 5, 6]);
}

#[test]
fn calls_come_back_and_returns_do_not() {
    const BL: u32 = 0x9400_0100;
    const BLR: u32 = 0xd63f_0020;
    const BLRAAZ: u32 = 0xd63f_083f;
    for call in [BL, BLR, BLRAAZ] {
        assert_eq!(inside(&[LDXR, call, ADD, STXR, RET]), [0, 1, 2, 3]);
    }
    const BR: u32 = 0xd61f_0020;
    const RETAA: u32 = 0xd65f_0bff;
    const ERET: u32 = 0xd69f_03e0;
    for end in [RET, BR, RETAA, ERET, branch(100), CLREX] {
        assert_eq!(inside(&[LDXR, ADD, end, ADD, NOP])[..], [], "{end:#x}");
    }
    assert_eq!(inside(&[LDXR, ADD, RET, ADD, STXR]), []);
    assert_eq!(inside(&[LDXR, ADD, CLREX, ADD, STXR]), []);
}

#[test]
fn a_second_load_begins_anew() {
    let twice = [LDXR, ADD, LDXR, NOP, STXR];
    assert_eq!(inside(&twice), [2, 3, 4]);
    // Waiting for a lock: no store comes.
    let wait = [LDXR, 0xd503_205f, retry(-2), RET];
    assert_eq!(inside(&wait), []);
}

#[test]
fn what_is_outside_the_words_is_not_looked_at() {
    assert_eq!(exclusive_sequence(&[], 0), None);
    assert_eq!(exclusive_sequence(&[LDXR, ADD, STXR], 3), None);
    assert_eq!(exclusive_sequence(&[LDXR], usize::MAX), None);
    let mut long = vec![NOP; 400];
    (long[200], long[232]) = (LDXR, STXR);
    assert_eq!(inside(&long), (200..=232).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_words_are_looked_at(words in prop::collection::vec(any::<u32>(), 0..300), index: usize) {
        let index = index % 320;
        if let Some(ExclusiveSequence { load, store }) = exclusive_sequence(&words, index) {
            prop_assert!(load < words.len() && store < words.len());
        }
    }

    #[test]
    fn straight_sequences_are_found(before in 0_usize..80, between in 0_usize..30, behind in 0_usize..80) {
        let mut words = vec![NOP; before];
        words.push(LDXR);
        words.extend(vec![ADD; between]);
        words.push(STXR);
        words.extend(vec![NOP; behind]);
        prop_assert_eq!(inside(&words), (before..before + between + 2).collect::<Vec<_>>());
    }
}
