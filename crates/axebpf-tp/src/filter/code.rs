//! The flat code of a filter: tests in a row, each of which says where to go on.

use alloc::vec::Vec;

use crate::filter::check::Check;
use crate::filter::parser::Expr;

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
    check: Check,
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
                    check: Check::new(test),
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
                    next = if step.check.passes(record) {
                        step.on_pass
                    } else {
                        step.on_fail
                    };
                }
            }
        }
    }
}
