//! The filter language: what is refused, and that what is accepted means what it says.

use axebpf_tp::{Event, Filter, FilterError, Str, define_event};
use proptest::prelude::*;

define_event! {
    /// What the filters are about.
    event test:subject as Subject {
        small: u8,
        flags: u32,
        big: u64,
        delta: i32,
        far: i64,
        on: bool,
        name: Str<8>,
    }
}

/// The fields of a record.
#[derive(Clone, Debug)]
struct Values {
    small: u8,
    flags: u32,
    big: u64,
    delta: i32,
    far: i64,
    on: bool,
    name: String,
}

impl Values {
    /// Lays the fields out as the event does.
    fn record(&self) -> Vec<u8> {
        let mut record = vec![0; subject.record_len()];
        let mut put = |name: &str, bytes: &[u8]| {
            let at = subject.field(name).unwrap().offset();
            record[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put("small", &[self.small]);
        put("flags", &self.flags.to_ne_bytes());
        put("big", &self.big.to_ne_bytes());
        put("delta", &self.delta.to_ne_bytes());
        put("far", &self.far.to_ne_bytes());
        put("on", &[u8::from(self.on)]);
        put("name", self.name.as_bytes());
        record
    }

    fn number(&self, field: &str) -> i128 {
        match field {
            "small" => self.small.into(),
            "flags" => self.flags.into(),
            "big" => self.big.into(),
            "delta" => self.delta.into(),
            "far" => self.far.into(),
            "on" => self.on.into(),
            other => panic!("{other}"),
        }
    }
}

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

/// A filter as a tree, to be printed and to be evaluated the obvious way.
#[derive(Clone, Debug)]
enum Tree {
    Compare(&'static str, &'static str, i128),
    Mask(&'static str, u64),
    Is(String),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Compare(field, operator, number) => format!("{field} {operator} {number}"),
            Self::Mask(field, mask) => format!("{field} & {mask:#x}"),
            Self::Is(name) => format!("name == \"{name}\""),
            Self::Not(inner) => format!("!({})", inner.text()),
            Self::And(left, right) => format!("({}) && ({})", left.text(), right.text()),
            Self::Or(left, right) => format!("({}) || ({})", left.text(), right.text()),
        }
    }

    fn holds(&self, values: &Values) -> bool {
        match self {
            Self::Compare(field, operator, number) => {
                let value = values.number(field);
                match *operator {
                    "==" => value == *number,
                    "!=" => value != *number,
                    "<" => value < *number,
                    "<=" => value <= *number,
                    ">" => value > *number,
                    ">=" => value >= *number,
                    other => panic!("{other}"),
                }
            }
            Self::Mask(field, mask) => values.number(field) as u64 & mask != 0,
            Self::Is(name) => values.name == *name,
            Self::Not(inner) => !inner.holds(values),
            Self::And(left, right) => left.holds(values) && right.holds(values),
            Self::Or(left, right) => left.holds(values) || right.holds(values),
        }
    }
}

fn numbers() -> impl Strategy<Value = i128> {
    prop_oneof![
        -3..10_i128,
        i128::from(i64::MIN)..=i128::from(u64::MAX),
        Just(i128::from(i64::MIN)),
        Just(i128::from(u64::MAX)),
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let field = prop::sample::select(vec!["small", "flags", "big", "delta", "far", "on"]);
    let maskable = prop::sample::select(vec!["small", "flags", "big", "delta", "far"]);
    let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (field, operator, numbers()).prop_map(|(f, o, n)| Tree::Compare(f, o, n)),
        (maskable, any::<u64>()).prop_map(|(f, m)| Tree::Mask(f, m)),
        "[ab]{0,2}".prop_map(Tree::Is),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::And(Box::new(l), Box::new(r))),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Or(Box::new(l), Box::new(r))),
        ]
    })
}

prop_compose! {
    fn values()(
        small in prop_oneof![0..10_u8, any::<u8>()],
        flags in any::<u32>(),
        big in prop_oneof![0..10_u64, any::<u64>(), Just(u64::MAX)],
        delta in prop_oneof![-3..10_i32, any::<i32>()],
        far in prop_oneof![-3..10_i64, any::<i64>(), Just(i64::MIN)],
        on in any::<bool>(),
        name in "[ab]{0,2}",
    ) -> Values {
        Values { small, flags, big, delta, far, on, name }
    }
}

proptest! {
    #[test]
    fn code_agrees_with_the_tree(tree in trees(), values in values()) {
        let text = tree.text();
        let filter = Filter::compile(&text, &subject).unwrap();
        prop_assert_eq!(filter.eval(&values.record()), tree.holds(&values), "{}", text);
    }

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

    /// `tp-lexer` computes in `i64` and has no `!`; within that, both agree.
    #[test]
    fn tp_lexer_agrees_on_what_both_have(
        tree in trees().prop_filter("shared subset", shared),
        values in values(),
    ) {
        use tp_lexer::{BufContext, FieldClassifier, FieldType, compile_with_schema, schema};

        let describe = || schema!(
            "small" => (u8::FIELD_TYPE, 8, 1),
            "flags" => (u32::FIELD_TYPE, 12, 4),
            "big" => (u64::FIELD_TYPE, 16, 8),
            "delta" => (i32::FIELD_TYPE, 24, 4),
            "far" => (i64::FIELD_TYPE, 32, 8),
            "on" => (u8::FIELD_TYPE, 40, 1),
            "name" => (FieldType::Bytes, 41, 8),
        );
        let offsets = subject.fields().iter().map(|field| field.offset());
        prop_assert!(offsets.eq([8, 12, 16, 24, 32, 40, 41]));
        let values = Values { big: values.big >> 1, ..values };
        let (text, record, schema) = (tree.text(), values.record(), describe());
        let theirs = compile_with_schema(&text, describe()).unwrap();
        let ours = Filter::compile(&text, &subject).unwrap();
        let context = BufContext::new(&record, &schema);
        prop_assert_eq!(ours.eval(&record), theirs.evaluate(&context), "{}", text);
    }
}

/// Tells whether the tree has only what both languages have with the same meaning.
fn shared(tree: &Tree) -> bool {
    match tree {
        Tree::Compare(_, _, number) => i64::try_from(*number).is_ok_and(|n| n != i64::MIN),
        Tree::Mask(..) | Tree::Not(_) => false,
        Tree::Is(name) => !name.is_empty(),
        Tree::And(left, right) | Tree::Or(left, right) => shared(left) && shared(right),
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
