//! Verification at load, over a graph of the program's blocks.
//!
//! The first layer: what can be told without knowing what memory holds. [`graph`] finds the blocks and refuses code
//! that nothing reaches. [`registers`] follows through the graph what each register holds, as one of the few
//! [`Value`]s, and refuses registers that are read before they are written on some path, accesses of the frame outside of it, and
//! calls whose arguments cannot be what the helper takes. [`effect`] says what each operation reads and writes.
//!
//! Whatever is not certain to be wrong passes here and is checked at run time: every access to memory, every map and
//! every record that a helper gets. A pass that proves more (ranges of numbers, bounds of pointers) replaces
//! [`Value`] by something finer and keeps the rest.

mod effect;
mod graph;
mod helper;
mod registers;
mod value;

use crate::bound_map::BoundMap;
use crate::check::Layout;
use crate::check_error::CheckError;
use crate::op::Op;
use crate::program::Missing;
use crate::target::ProgramKind;

/// What is known about a program besides its code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) kind: ProgramKind,
    pub(crate) maps: &'f [BoundMap],
    /// The instructions that stop the program, since the target lacks what they access.
    pub(crate) missing: &'f [Missing],
}

/// Verifies a program whose [`Layout`] is sound.
pub(crate) fn verify(ops: &[Op], layout: &Layout, facts: &Facts<'_>) -> Result<(), CheckError> {
    let graph = graph::Graph::new(ops, layout);
    graph.check_reachable(ops)?;
    graph.check_certain(ops, facts.missing)?;
    registers::check(ops, layout, &graph, facts)
}
