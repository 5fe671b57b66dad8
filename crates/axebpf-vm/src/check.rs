//! How the instructions of a program hang together: the checks that need more than one instruction.
//!
//! [`check`] is a pass over the decoded program, which it does not change. Each later pass takes what the earlier ones
//! found, a [`Layout`]; a pass that tracks register types would come after this one and start from it.

use alloc::vec;
use alloc::vec::Vec;

use crate::check_error::CheckError;
use crate::op::{Code, Op};

/// The number of stack frames, the main function's included.
pub const MAX_FRAMES: usize = 8;

/// How much of a program is checked before it can run.
///
/// Whatever is checked at load, every access to memory, every argument of a helper and the budget are checked at run
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checks {
    /// Each instruction, and that jumps and calls go to instructions of the program: what RFC 9669 asks of one.
    ///
    /// For runners of bare instructions, such as those of conformance suites. Code that nothing reaches, functions that
    /// share code or call themselves, and registers that were never written, which start as 0, are all right. A program
    /// that runs past its end, or calls too deep, is stopped at run time.
    Instructions,
    /// That, and how functions hang together: none is jumped into from outside or run out of, none calls itself, and
    /// the depth of calls is bounded. Registers start as 0 here, too.
    Structure,
    /// That, and what can be told from the flow of control and of values: unreachable code, registers that are read
    /// before they are written, accesses outside of the frame, helpers and their arguments. What objects are loaded
    /// with.
    #[default]
    Full,
}

/// Where the functions of a program start.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The first instruction of each function, ascending. The first one is 0, the main function.
    pub(crate) functions: Vec<u32>,
}

impl Layout {
    /// Returns the number of the function that instruction `index` belongs to.
    fn function_of(&self, index: usize) -> usize {
        self.functions
            .partition_point(|start| *start as usize <= index)
            .saturating_sub(1)
    }

    /// Returns the first instruction of function `number` and the one after its last.
    fn bounds(&self, number: usize, len: usize) -> core::ops::Range<usize> {
        let start = self
            .functions
            .get(number)
            .map_or(0, |start| *start as usize);
        start
            ..self
                .functions
                .get(number + 1)
                .map_or(len, |start| *start as usize)
    }
}

/// Checks a decoded program as a whole, as far as `checks` asks for that.
pub(crate) fn check(ops: &[Op], checks: Checks) -> Result<Layout, CheckError> {
    let layout = find_functions(ops)?;
    if checks == Checks::Instructions {
        let jumps = ops.iter().enumerate().filter(|(_, op)| is_jump(op.code));
        for (index, op) in jumps {
            check_target(ops, index, op.target())?;
        }
        return Ok(layout);
    }
    for (index, op) in ops.iter().enumerate() {
        if is_jump(op.code) {
            check_target(ops, index, op.target())?;
            if !layout
                .bounds(layout.function_of(index), ops.len())
                .contains(&op.target())
            {
                let target = op.target() as i64;
                return Err(CheckError::JumpOutOfRange {
                    insn: index,
                    target,
                });
            }
        }
    }
    for number in 0..layout.functions.len() {
        let last = last_op(ops, layout.bounds(number, ops.len()));
        if !matches!(ops[last].code, Code::Exit | Code::Ja) {
            return Err(CheckError::FallsOff { insn: last });
        }
    }
    if !ops.iter().any(|op| op.code == Code::Exit) {
        return Err(CheckError::NoExit);
    }
    check_depth(ops, &layout)?;
    Ok(layout)
}

/// Tells whether an operation of that code goes on elsewhere, under a condition or not.
pub(crate) fn is_jump(code: Code) -> bool {
    (Code::Ja as u8..=Code::Jsle32X as u8).contains(&(code as u8))
}

/// Returns the index of the last operation in `bounds`, which is not empty.
fn last_op(ops: &[Op], bounds: core::ops::Range<usize>) -> usize {
    let last = bounds.end - 1;
    if ops[last].code == Code::Hole {
        last.saturating_sub(1)
    } else {
        last
    }
}

/// Returns the function whose address the operation takes, if it is one that does.
pub(crate) fn named_function(op: &Op) -> Option<usize> {
    match op.code {
        Code::CallLocal | Code::Function => Some(op.target()),
        _ => None,
    }
}

fn check_target(ops: &[Op], insn: usize, target: usize) -> Result<(), CheckError> {
    match ops.get(target) {
        None => Err(CheckError::JumpOutOfRange {
            insn,
            target: target as i64,
        }),
        Some(op) if op.code == Code::Hole => Err(CheckError::JumpIntoImmediate { insn, target }),
        Some(_) => Ok(()),
    }
}

fn find_functions(ops: &[Op]) -> Result<Layout, CheckError> {
    let mut functions = vec![0];
    for (insn, op) in ops.iter().enumerate() {
        let Some(target) = named_function(op) else {
            continue;
        };
        check_target(ops, insn, target).map_err(|error| match error {
            CheckError::JumpOutOfRange { insn, target } => {
                CheckError::CallOutOfRange { insn, target }
            }
            other => other,
        })?;
        functions.push(target as u32);
    }
    functions.sort_unstable();
    functions.dedup();
    Ok(Layout { functions })
}

/// Refuses recursion, and calls nested deeper than [`MAX_FRAMES`].
///
/// Calls by register are not followed; the interpreter checks the depth of those.
fn check_depth(ops: &[Op], layout: &Layout) -> Result<(), CheckError> {
    // The number of frames that each function needs, its own included; 0 is not known yet.
    let mut frames = vec![0usize; layout.functions.len()];
    for root in 0..layout.functions.len() {
        if frames[root] == 0 {
            measure(ops, layout, root, &mut frames)?;
        }
    }
    Ok(())
}

/// One function on the way from the root down to where [`measure`] is.
struct Visit {
    function: usize,
    next: usize,
    end: usize,
    frames: usize,
}

impl Visit {
    fn new(layout: &Layout, function: usize, len: usize) -> Self {
        let bounds = layout.bounds(function, len);
        Self {
            function,
            next: bounds.start,
            end: bounds.end,
            frames: 1,
        }
    }
}

/// Finds the number of frames that `root` needs, depth first with a path of at most [`MAX_FRAMES`] functions.
fn measure(
    ops: &[Op],
    layout: &Layout,
    root: usize,
    frames: &mut [usize],
) -> Result<(), CheckError> {
    let mut path = vec![Visit::new(layout, root, ops.len())];
    while let Some(visit) = path.last_mut() {
        let insn = visit.next;
        if insn >= visit.end {
            let (function, needed) = (visit.function, visit.frames);
            frames[function] = needed;
            path.pop();
            if let Some(caller) = path.last_mut() {
                caller.frames = caller.frames.max(needed + 1);
            }
            continue;
        }
        visit.next += 1;
        if ops[insn].code != Code::CallLocal {
            continue;
        }
        let target = ops[insn].target();
        let callee = layout.function_of(target);
        let known = frames[callee];
        visit.frames = visit.frames.max(if known == 0 { 1 } else { known + 1 });
        let too_deep = visit.frames > MAX_FRAMES;
        if path.iter().any(|visit| visit.function == callee) {
            return Err(CheckError::Recursion { insn, target });
        }
        if too_deep || path.len() + known.max(1) > MAX_FRAMES {
            return Err(CheckError::TooDeep {
                insn,
                limit: MAX_FRAMES,
            });
        }
        if known == 0 {
            path.push(Visit::new(layout, callee, ops.len()));
        }
    }
    Ok(())
}
