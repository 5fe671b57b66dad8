//! What is accepted and what it means, what is refused and why.

use axebpf_tp::{Event, Filter, FilterError, Str, define_event};
use proptest::prelude::*;

use crate::subject::{Values, subject};

fn sample() -> Values {
    Values {
        small: 7,
        flags: 0x11,
        big: 0xffff_8000_0000_1234,
        delta: -5,
        far: i64::MIN,
        on: true,
        name: "virtio0".into(),
    }
}

fn passes(text: &str) -> bool {
    match Filter::compile(text, &subject) {
        Ok(filter) => filter.eval(&sample().record()),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn refusal(text: &str) -> FilterError {
    Filter::compile(text, &subject)
        .map(|filter| filter.as_str().to_owned())
        .unwrap_err()
}

#[test]
fn filters_mean_what_they_say() {
    for text in [
        "small == 7",
        "small==7&&delta==-5",
        "small != 8 && small < 8 && small <= 7 && small > 6 && small >= 7",
        "big >= 0xffff800000000000",
        "big < 18446744073709551615",
        "big > -1",
        "far == -9223372036854775808",
        "far < 18446744073709551615",
        "delta == -0x5",
        "small < 300",
        "flags & 0x10",
        "flags & 0x13 == 0x11",
        "flags & 0x13 != 0x13",
        "delta & -8",
        "on == true && on != false && on == 1",
        "name == \"virtio0\"",
        "name != 'virtio1'",
        "name ~ \"virtio*\"",
        "name ~ '*[0-9]'",
        "name == \"\\virtio\\0\"",
        "!(small == 8)",
        "!!small==7",
        "small == 1 || small == 7 && delta < 0",
        "(small == 7 || small == 1) && delta < 0",
        " \t\n small == 7 ",
    ] {
        assert!(passes(text), "{text}");
    }
    for text in [
        "small == 8",
        "flags & 0xe",
        "big == -1",
        "far > 9223372036854775807",
        "name ~ 'virtio'",
        "name == 'virtio00'",
        "!(small == 7)",
        "(small == 7 || small == 1) && delta > 0",
        "small == 7 && (on == false || name ~ 'x*')",
    ] {
        assert!(!passes(text), "{text}");
    }
}

#[test]
fn errors_say_where_and_what_would_be_right() {
    for (text, expected) in [
        ("", "at 0: expected a field, `!` or `(`, found the end"),
        (
            "smal == 1",
            "at 0: no field `smal`; the fields are small, flags, big, delta, far, on, name",
        ),
        ("small = 1", "at 6: unexpected `=`"),
        (
            "small 1",
            "at 6: expected an operator, one of == != < <= > >= & ~, found `1`",
        ),
        (
            "small == ",
            "at 9: `small` (unsigned char) is compared with a number, not with the end",
        ),
        (
            "small == 'x'",
            "at 9: `small` (unsigned char) is compared with a number, not with `x`",
        ),
        (
            "small ~ 'x'",
            "at 6: `~` does not go with `small` (unsigned char); use ==, !=, <, <=, >, >= or &",
        ),
        (
            "name < 'x'",
            "at 5: `<` does not go with `name` (char[8]); use ==, != or ~",
        ),
        (
            "name & 1",
            "at 5: `&` does not go with `name` (char[8]); use ==, != or ~",
        ),
        (
            "on & 1",
            "at 3: `&` does not go with `on` (bool); use == or !=",
        ),
        (
            "name == 4",
            "at 8: `name` (char[8]) is compared with a string in quotes, not with `4`",
        ),
        (
            "on == 'x'",
            "at 6: `on` (bool) is compared with true or false, not with `x`",
        ),
        (
            "name == 'x",
            "at 8: the string that starts here has no closing '",
        ),
        (
            "small == 18446744073709551616",
            "at 9: `18446744073709551616` is not a number from -9223372036854775808 to \
             18446744073709551615",
        ),
        (
            "small == 0xg",
            "at 9: `0xg` is not a number from -9223372036854775808 to 18446744073709551615",
        ),
        (
            "small == 7 small == 7",
            "at 11: expected `&&`, `||` or the end, found `small`",
        ),
        (
            "(small == 7",
            "at 11: expected `&&`, `||` or `)`, found the end",
        ),
        (
            "small == 7)",
            "at 10: expected `&&`, `||` or the end, found `)`",
        ),
        (
            "small == 7 &&",
            "at 13: expected a field, `!` or `(`, found the end",
        ),
    ] {
        assert_eq!(refusal(text).to_string(), expected, "{text}");
    }
    assert!(matches!(
        refusal("name ~ 'a[b'"),
        FilterError::BadGlob { at: 7, .. }
    ));
    assert!(matches!(
        refusal("small == 7 \u{1f980}"),
        FilterError::UnexpectedChar { at: 11, .. }
    ));
}

#[test]
fn size_and_depth_are_bounded() {
    let long = "small == 7 || ".repeat(1000);
    assert_eq!(
        refusal(&long),
        FilterError::TooLong {
            len: long.len(),
            limit: 4096
        }
    );
    let nested = |depth: usize| format!("{}small == 7{}", "(".repeat(depth), ")".repeat(depth));
    assert!(passes(&nested(32)));
    assert_eq!(
        refusal(&nested(33)),
        FilterError::TooDeep { at: 32, limit: 32 }
    );
    assert!(matches!(
        refusal(&nested(1000)),
        FilterError::TooDeep { .. }
    ));
    assert!(matches!(
        refusal(&"!".repeat(1000)),
        FilterError::TooDeep { .. }
    ));
    // As many tests as fit: 4096 bytes.
    let wide = format!("{}small==7", "small==8||".repeat(408));
    assert!(passes(&wide));
}

#[test]
fn short_records_never_pass_a_test() {
    let filter = Filter::compile("small == 0", &subject).unwrap();
    assert!(!filter.eval(&[]));
    assert!(!filter.eval(&[0; 8]));
    assert!(filter.eval(&[0; 9]));
}

#[test]
fn events_without_fields_have_no_filters() {
    let error = Filter::compile("x == 1", &fieldless).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at 0: no field `x`; the event has no fields"
    );
}

define_event! {
    /// Nothing to filter by.
    event test:fieldless as Fieldless {}
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = Filter::compile(&text, &subject);
    }

    #[test]
    fn no_sequence_of_tokens_makes_it_panic(tokens in prop::collection::vec(
        prop::sample::select(vec![
            "small", "name", "on", "==", "!=", "<", ">=", "&", "~", "&&", "||", "!", "(", ")", "1",
            "-", "0x", "-0x8000000000000000", "'a*'", "\"", "'", "\\", "true", " ", "[", "\u{e9}",
        ]), 0..60), record in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(filter) = Filter::compile(&tokens.concat(), &subject) {
            let _ = filter.eval(&record);
        }
    }
}

#[test]
fn globs_take_linear_time() {
    // Nine stars on a text that almost matches: exponential for matchers that try everything.
    let event: &'static Event = &lengthy;
    let filter = Filter::compile("text ~ '*a*a*a*a*a*a*a*a*a*b'", event).unwrap();
    let mut record = vec![0; lengthy.record_len()];
    record[8..8 + 255].fill(b'a');
    for _ in 0..1000 {
        assert!(!filter.eval(&record));
    }
}

define_event! {
    event test:lengthy as Lengthy {
        text: Str<256>,
    }
}
