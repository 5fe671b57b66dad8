//! Filters against trees that are evaluated the obvious way, and against `tp-lexer`.

use axebpf_tp::Filter;
use proptest::prelude::*;

use crate::subject::{Values, subject};

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
