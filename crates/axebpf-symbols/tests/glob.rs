//! Globs: meaning, bad patterns, and that matching stays linear.

use axebpf_symbols::{Glob, GlobError};
use proptest::prelude::*;

fn matches(pattern: &str, name: &str) -> bool {
    Glob::new(pattern).unwrap().matches(name)
}

#[test]
fn literals_match_themselves_only() {
    assert!(matches("vm_create", "vm_create"));
    assert!(!matches("vm_create", "vm_create2"));
    assert!(!matches("vm_create", "vm_creat"));
    assert!(!matches("vm_create", ""));
    assert_eq!(
        Glob::new(r"a\*b").unwrap().literal().as_deref(),
        Some("a*b")
    );
    assert_eq!(Glob::new("a*b").unwrap().literal(), None);
}

#[test]
fn stars_take_any_number() {
    for name in ["", "a", "a::b", "<T as U>::f"] {
        assert!(matches("*", name));
        assert!(matches("***", name));
    }
    assert!(matches("a*c", "ac"));
    assert!(matches("a*c", "abcbc"));
    assert!(!matches("a*c", "abcb"));
    assert!(matches("*run*", "vcpu_run_exit"));
    assert!(matches("*aab", "aaaaab"));
    assert!(matches("*a?b*", "xaaab"));
}

#[test]
fn question_marks_take_one_character_of_any_length() {
    assert!(matches("?", "ä"));
    assert!(matches("a?c", "a→c"));
    assert!(!matches("?", ""));
    assert!(!matches("?", "ab"));
}

#[test]
fn classes_know_ranges_complements_and_brackets() {
    assert!(matches("cpu[0-3]", "cpu2"));
    assert!(!matches("cpu[0-3]", "cpu4"));
    assert!(matches("cpu[!0-3]", "cpu4"));
    assert!(!matches("cpu[!0-3]", "cpu"));
    assert!(matches("[]]", "]"));
    assert!(matches("[!]]", "x"));
    assert!(matches("[a-]", "-"));
    assert!(matches(r"[\]-_]", "^"));
    assert!(matches("[α-ω]", "λ"));
    assert!(matches(r"x\[0\]", "x[0]"));
}

#[test]
fn stray_bytes_match_wildcards_only() {
    assert!(Glob::new("a?c").unwrap().matches_bytes(b"a\xffc"));
    assert!(Glob::new("a*").unwrap().matches_bytes(b"a\xe2\x86"));
    assert!(Glob::new("a??").unwrap().matches_bytes(b"a\xe2\x86"));
    assert!(Glob::new("[!a]").unwrap().matches_bytes(b"\x80"));
    assert!(!Glob::new("[a-z]").unwrap().matches_bytes(b"\x80"));
}

#[test]
fn bad_patterns_say_what_and_where() {
    assert_eq!(Glob::new(""), Err(GlobError::Empty));
    assert_eq!(
        Glob::new(&"a".repeat(10 << 10)),
        Err(GlobError::TooLong {
            len: 10 << 10,
            limit: Glob::MAX_LEN
        })
    );
    for (pattern, at) in [("[", 0), ("ab[c", 2), ("[!", 0), ("[]", 0), ("a[b-", 1)] {
        assert_eq!(Glob::new(pattern), Err(GlobError::UnclosedClass { at }));
    }
    assert_eq!(
        Glob::new("x[z-a]"),
        Err(GlobError::ReversedRange {
            at: 2,
            first: 'z',
            last: 'a'
        })
    );
    assert_eq!(Glob::new(r"ab\"), Err(GlobError::TrailingEscape { at: 2 }));
    assert_eq!(Glob::new(r"[a\"), Err(GlobError::TrailingEscape { at: 2 }));
}

#[test]
fn many_stars_on_a_long_name_do_not_explode() {
    // Exponential matchers take seconds for the first and never come back from the second.
    let nine = format!("{}b", "a*".repeat(9));
    assert!(!matches(&nine, &"a".repeat(40)));
    let most = format!("{}b", "*a".repeat(127));
    assert!(!matches(&most, &"a".repeat(4096)));
}

/// Matches by the definition of the wildcards, one character at a time over all splits; slow, and so for
/// short input.
fn by_definition(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
        Some(('?', rest)) => !name.is_empty() && by_definition(rest, &name[1..]),
        Some((c, rest)) => name.first() == Some(c) && by_definition(rest, &name[1..]),
    }
}

proptest! {
    #[test]
    fn agrees_with_the_definition(pattern in "[ab*?]{1,8}", name in "[abc]{0,10}") {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        prop_assert_eq!(
            matches(&pattern, &name),
            by_definition(&chars(&pattern), &chars(&name))
        );
    }

    #[test]
    fn never_panics(pattern in any::<String>(), name in any::<Vec<u8>>()) {
        if let Ok(glob) = Glob::new(&pattern) {
            let _ = glob.matches_bytes(&name);
        }
    }

    #[test]
    fn an_escaped_name_matches_itself(name in "\\PC{1,60}") {
        let pattern: String = name.chars().flat_map(|c| ['\\', c]).collect();
        if let Ok(glob) = Glob::new(&pattern) {
            prop_assert!(glob.matches(&name));
            prop_assert_eq!(glob.literal(), Some(name));
        }
    }
}
