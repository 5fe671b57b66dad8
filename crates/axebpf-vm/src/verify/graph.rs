//! The blocks of a program and the ways between them.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::check::{Layout, is_jump, named_function};
use crate::check_error::CheckError;
use crate::op::{Code, Op};
use crate::program::Missing;

/// Operations that run one after the other, entered at the first only and left at the last only.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) ops: Range<usize>,
    /// Where the block goes on: the next block, the target of the jump at its end, or both.
    pub(crate) successors: [Option<u32>; 2],
}

/// The control flow of a program. Calls are no edges: what is called comes back.
#[derive(Debug)]
pub(crate) struct Graph {
    /// In the order of the program.
    pub(crate) blocks: Vec<Block>,
}

impl Graph {
    /// Finds the blocks of a program.
    pub(crate) fn new(ops: &[Op], layout: &Layout) -> Self {
        let mut leaders: Vec<u32> = layout.functions.clone();
        for (index, op) in ops.iter().enumerate() {
            if is_jump(op.code) {
                leaders.push(op.target() as u32);
            }
            if is_jump(op.code) || op.code == Code::Exit {
                leaders.push(index as u32 + 1);
            }
        }
        leaders.sort_unstable();
        leaders.dedup();
        leaders.retain(|leader| (*leader as usize) < ops.len());
        let ends = leaders.iter().skip(1).map(|next| *next as usize);
        let ends: Vec<usize> = ends.chain([ops.len()]).collect();
        let mut graph = Self {
            blocks: leaders
                .iter()
                .zip(ends)
                .map(|(start, end)| Block {
                    ops: *start as usize..end,
                    successors: [None; 2],
                })
                .collect(),
        };
        for number in 0..graph.blocks.len() {
            graph.blocks[number].successors = graph.successors(ops, number);
        }
        graph
    }

    /// Returns the block that starts at `index`, which must be a leader.
    pub(crate) fn block_at(&self, index: usize) -> u32 {
        let after = self
            .blocks
            .partition_point(|block| block.ops.start <= index);
        after.saturating_sub(1) as u32
    }

    fn successors(&self, ops: &[Op], number: usize) -> [Option<u32>; 2] {
        let end = self.blocks[number].ops.end;
        // The next block is one of the same function: the last operation of a function is an exit or a plain jump.
        let next = (number + 1 < self.blocks.len()).then_some(number as u32 + 1);
        match ops[end - 1].code {
            Code::Exit => [None; 2],
            Code::Ja => [None, Some(self.block_at(ops[end - 1].target()))],
            code if is_jump(code) => [next, Some(self.block_at(ops[end - 1].target()))],
            _ => [next, None],
        }
    }

    /// Refuses a program that comes to a missing access whatever happens: before the first condition.
    ///
    /// Behind a condition it may be right, since programs ask first whether something exists.
    pub(crate) fn check_certain(&self, ops: &[Op], missing: &[Missing]) -> Result<(), CheckError> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut seen = vec![false; self.blocks.len()];
        let mut next = Some(0u32);
        while let Some(number) = next {
            if core::mem::replace(&mut seen[number as usize], true) {
                break;
            }
            let block = &self.blocks[number as usize];
            let certain = missing
                .iter()
                .find(|missing| block.ops.contains(&missing.insn));
            if let Some(Missing { insn, .. }) = certain {
                return Err(CheckError::MissingInTarget { insn: *insn });
            }
            let calls_other = |op: &Op| op.code == Code::CallSteer;
            next = match block.successors {
                // A tail call need not come back.
                _ if ops[block.ops.clone()].iter().any(calls_other) => None,
                [Some(only), None] | [None, Some(only)] => Some(only),
                _ => None,
            };
        }
        Ok(())
    }

    /// Refuses a program with operations that nothing reaches.
    pub(crate) fn check_reachable(&self, ops: &[Op]) -> Result<(), CheckError> {
        let mut reached = vec![false; self.blocks.len()];
        let mut pending = vec![0u32];
        while let Some(number) = pending.pop() {
            let seen = core::mem::replace(&mut reached[number as usize], true);
            if seen {
                continue;
            }
            let block = &self.blocks[number as usize];
            pending.extend(block.successors.iter().flatten());
            let functions = ops[block.ops.clone()].iter().filter_map(named_function);
            pending.extend(functions.map(|function| self.block_at(function)));
        }
        match reached.iter().position(|reached| !reached) {
            None => Ok(()),
            Some(number) => Err(CheckError::Unreachable {
                insn: self.blocks[number].ops.start,
            }),
        }
    }
}
