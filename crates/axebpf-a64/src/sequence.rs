//! Places between a load exclusive and its store.

use crate::class::{Execution, classify};
use crate::insn::Insn;

/// How far from a place the instructions of its sequence are looked for, in each direction.
///
/// The ARM ARM (B2.9.5) guarantees progress only to sequences that fit in 128 bytes, which is half of this.
const REACH: usize = 64;

/// A load exclusive and a store exclusive that may end its sequence, as indices of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExclusiveSequence {
    /// The load.
    pub load: usize,
    /// The store.
    pub store: usize,
}

/// Says whether the instruction at `index` of `words` may be executed between a load exclusive and the store
/// exclusive of its sequence.
///
/// A trap there clears the exclusive monitor, so the store fails, and a loop around it never ends.
///
/// `words` is the code of one function, or what is known of it around `index`. Direct branches are followed; a
/// call comes back; indirect branches, exception returns and what leaves `words` end a path. A store exclusive
/// and `CLREX` end a sequence, and a load exclusive begins another one. A path goes no further than 64
/// instructions from `index`. An instruction that is itself exclusive is part of its own sequence.
///
/// # Examples
///
/// ```
/// use axebpf_a64::{ExclusiveSequence, exclusive_sequence};
///
/// // 1: ldxr x8, [x0]; add x8, x8, #1; stxr w9, x8, [x0]; cbnz w9, 1b; ret
/// let words = [0xc85f_7c08, 0x9100_0508, 0xc809_7c08, 0x35ff_ffa9, 0xd65f_03c0];
/// let sequence = ExclusiveSequence { load: 0, store: 2 };
/// assert_eq!(exclusive_sequence(&words, 1), Some(sequence));
/// assert_eq!(exclusive_sequence(&words, 3), None);
/// ```
#[must_use]
pub fn exclusive_sequence(words: &[u32], index: usize) -> Option<ExclusiveSequence> {
    let first = index.saturating_sub(REACH);
    let last = words.len().min(index.checked_add(REACH + 1)?);
    let near = words.get(first..last)?;
    // Most functions have no sequences.
    if !near.iter().any(|&word| monitor(word) == Monitor::Ends) {
        return None;
    }
    let here = index - first;
    let effect = monitor(*near.get(here)?);
    // Going forward from here, and backward to here.
    let store = if effect == Monitor::Ends {
        Some(here)
    } else {
        reach(near, here, Direction::Forward)
    };
    let load = if effect == Monitor::Begins {
        Some(here)
    } else {
        reach(near, here, Direction::Backward)
    };
    let sequence = ExclusiveSequence {
        load: load? + first,
        store: store? + first,
    };
    // CLREX ends a sequence whose store comes never.
    (effect != Monitor::Clears).then_some(sequence)
}

/// What an instruction does with the exclusive monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Monitor {
    /// A load exclusive sets it.
    Begins,
    /// A store exclusive needs and clears it.
    Ends,
    /// `CLREX` clears it.
    Clears,
    /// Nothing.
    Keeps,
}

/// Returns what `word` does with the exclusive monitor.
fn monitor(word: u32) -> Monitor {
    // LDXR to STLXP, apart from CASP (ARM ARM C4.1.96.17 and 18).
    let is_exclusive = word & 0x3fa0_0000 == 0x0800_0000 || word & 0xbfa0_0000 == 0x8820_0000;
    match (is_exclusive, word & 1 << 22 != 0) {
        (true, true) => Monitor::Begins,
        (true, false) => Monitor::Ends,
        _ if word & 0xffff_f0ff == 0xd503_305f => Monitor::Clears,
        _ => Monitor::Keeps,
    }
}

/// Which way paths are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Looks from `here` for the store that comes next, or for the load that came last, on any path.
fn reach(words: &[u32], here: usize, direction: Direction) -> Option<usize> {
    let mut seen = [false; 2 * REACH + 1];
    *seen.get_mut(here)? = true;
    // Each pass follows every path by one instruction at least, so there are no more passes than instructions.
    // Mostly there are two, because code runs in the order in which it is visited.
    for _ in words {
        match pass(words, &mut seen, direction) {
            Pass::Found(index) => return Some(index),
            Pass::Farther => {}
            Pass::AtTheEnd => break,
        }
    }
    None
}

/// What following all paths once came to.
enum Pass {
    Found(usize),
    Farther,
    AtTheEnd,
}

/// Follows the paths on which the monitor is kept, from all instructions that were `seen`.
fn pass(words: &[u32], seen: &mut [bool], direction: Direction) -> Pass {
    let mut result = Pass::AtTheEnd;
    for step in 0..words.len() {
        let from = match direction {
            Direction::Forward => step,
            Direction::Backward => words.len() - 1 - step,
        };
        for to in successors(words, from).into_iter().flatten() {
            let (near, far) = match direction {
                Direction::Forward => (from, to),
                Direction::Backward => (to, from),
            };
            if !seen[near] || seen[far] {
                continue;
            }
            match (monitor(words[far]), direction) {
                (Monitor::Keeps, _) => {
                    seen[far] = true;
                    result = Pass::Farther;
                }
                (Monitor::Ends, Direction::Forward) | (Monitor::Begins, Direction::Backward) => {
                    return Pass::Found(far);
                }
                _ => {}
            }
        }
    }
    result
}

/// Returns which instructions may be executed directly after the one at `from`.
fn successors(words: &[u32], from: usize) -> [Option<usize>; 2] {
    let (offset, falls_through) = flow(words[from]);
    let target = offset.and_then(|offset| {
        let to = (from as i64).checked_add(offset / 4)?;
        usize::try_from(to).ok()
    });
    let next = falls_through.then_some(from + 1);
    [target, next].map(|to| to.filter(|to| *to < words.len()))
}

/// Returns how far `word` may branch directly, and whether what is behind it may be executed next.
fn flow(word: u32) -> (Option<i64>, bool) {
    let Ok(Execution::Simulate(insn)) = classify(word) else {
        // Authenticated branches to registers that are no calls, and exception returns.
        let ends = word & 0xfe00_0000 == 0xd600_0000 && word & 0x00e0_0000 != 0x0020_0000;
        return (None, !ends);
    };
    // A call comes back.
    let offset = match insn {
        Insn::BranchLink { .. } => None,
        _ => insn.branch_offset(),
    };
    (offset, insn.falls_through())
}
