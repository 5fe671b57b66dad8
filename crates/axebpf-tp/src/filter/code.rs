//! The flat code of a filter: tests in a row, each of which says where to go on.

use alloc::boxed::Box;
use alloc::vec::Vec;

use axebpf_symbols::Glob;

use crate::field::{Field, FieldValue};
use crate::filter::parser::Expr;

/// A test of one field.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) field: &'static Field,
    pub(super) condition: Condition,
}

/// What a test asks.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Whether the number compares so with another.
    Compares(Comparison, i128),
    /// Whether the bits under the mask are these.
    MaskedIs { mask: u64, bits: u64 },
    /// Whether the bits under the mask are others.
    MaskedIsNot { mask: u64, bits: u64 },
    /// Whether the string is this one.
    Is(Box<[u8]>),
    /// Whether the string is another one.
    IsNot(Box<[u8]>),
    /// Whether the string matches.
    Matches(Glob),
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Returns the comparison that an operator stands for.
    pub(super) fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    const fn holds(self, left: i128, right: i128) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Test {
    /// Tells whether the record passes.
    fn passes(&self, record: &[u8]) -> bool {
        let (number, bits) = match self.field.value(record) {
            Some(FieldValue::Unsigned(value)) => (i128::from(value), value),
            Some(FieldValue::Signed(value)) => (i128::from(value), value as u64),
            Some(FieldValue::Bool(value)) => (i128::from(value), u64::from(value)),
            Some(FieldValue::Text(text)) => return self.condition.accepts_text(text),
            None => return false,
        };
        match &self.condition {
            Condition::Compares(comparison, other) => comparison.holds(number, *other),
            Condition::MaskedIs { mask, bits: wanted } => bits & mask == *wanted,
            Condition::MaskedIsNot {
                mask,
                bits: unwanted,
            } => bits & mask != *unwanted,
            Condition::Is(_) | Condition::IsNot(_) | Condition::Matches(_) => false,
        }
    }
}

impl Condition {
    fn accepts_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Is(wanted) => text == &**wanted,
            Self::IsNot(unwanted) => text != &**unwanted,
            Self::Matches(glob) => glob.matches_bytes(text),
            Self::Compares(..) | Self::MaskedIs { .. } | Self::MaskedIsNot { .. } => false,
        }
    }
}

/// Where to go on after a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The record passes.
    Accept,
    /// The record does not pass.
    Reject,
    /// Another test decides. Its number is lower, so that evaluation always ends.
    Step(usize),
}

#[derive(Clone, Debug)]
struct Step {
    test: Test,
    on_pass: Next,
    on_fail: Next,
}

/// A compiled filter.
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// In reverse order of evaluation: each step only goes on to earlier ones.
    steps: Vec<Step>,
    entry: Next,
}

impl Code {
    /// Makes flat code of a syntax tree.
    pub(super) fn generate(expr: &Expr) -> Self {
        let mut code = Self {
            steps: Vec::new(),
            entry: Next::Reject,
        };
        code.entry = code.emit(expr, Next::Accept, Next::Reject);
        code
    }

    /// Adds the code of `expr`, which goes on as told, and returns where it starts.
    fn emit(&mut self, expr: &Expr, on_pass: Next, on_fail: Next) -> Next {
        match expr {
            Expr::All(parts) => parts
                .iter()
                .rev()
                .fold(on_pass, |next, part| self.emit(part, next, on_fail)),
            Expr::Any(parts) => parts
                .iter()
                .rev()
                .fold(on_fail, |next, part| self.emit(part, on_pass, next)),
            Expr::Not(inner) => self.emit(inner, on_fail, on_pass),
            Expr::Test(test) => {
                self.steps.push(Step {
                    test: test.clone(),
                    on_pass,
                    on_fail,
                });
                Next::Step(self.steps.len() - 1)
            }
        }
    }

    /// Tells whether the record passes.
    pub(super) fn eval(&self, record: &[u8]) -> bool {
        let mut next = self.entry;
        loop {
            match next {
                Next::Accept => return true,
                Next::Reject => return false,
                Next::Step(number) => {
                    let step = &self.steps[number];
                    next = if step.test.passes(record) {
                        step.on_pass
                    } else {
                        step.on_fail
                    };
                }
            }
        }
    }
}
