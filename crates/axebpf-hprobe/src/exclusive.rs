//! Places where a trap would make a store-exclusive fail for ever.

use alloc::vec::Vec;
use core::ops::Range;

use axebpf_a64::{Execution, Insn, classify};
use axebpf_platform::{HostVirt, ReadFault, ReadMemory};

use crate::ProbePoint;

/// How many bytes before and after a place are looked at. An exclusive sequence is short: ARM ARM B2.17.5 asks for less
/// than 128 bytes.
const REACH: u64 = 256;

/// The instructions around a place.
struct Window {
    /// Where the first one is.
    start: u64,
    words: Vec<u32>,
}

/// Returns the load-exclusive to whose sequence the instruction of `point` belongs, if there is one.
///
/// It belongs to a sequence when control can get there from a load-exclusive, and from there to a store-exclusive,
/// neither passing another of the two nor `CLREX`.
pub(crate) fn sequence_at(
    text: &Range<HostVirt>,
    point: &ProbePoint,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<Option<HostVirt>, ReadFault> {
    let window = Window::around(text, point, memory)?;
    Ok(window.sequence_at(point.at()))
}

impl Window {
    fn sequence_at(&self, at: HostVirt) -> Option<HostVirt> {
        let mut loads = (0..self.words.len()).filter(|&index| is_load(self.words[index]));
        // Most functions have none.
        let first = loads.next()?;
        let place = self.index(at.get())?;
        let load = core::iter::once(first)
            .chain(loads)
            .find(|&load| self.reaches(load, |index| index == place))?;
        self.leads_to_store(place)
            .then(|| HostVirt::new(self.start + 4 * load as u64))
    }

    /// Reads the instructions around `at`, from its function's start on, as far as they are `text`.
    fn around(
        text: &Range<HostVirt>,
        point: &ProbePoint,
        memory: &(impl ReadMemory + ?Sized),
    ) -> Result<Self, ReadFault> {
        let (at, function) = (point.at().get(), point.function().get());
        let start = at
            .saturating_sub(REACH)
            .max(function.min(at))
            .max(text.start.get() & !3);
        let end = at.saturating_add(REACH).min(text.end.get());
        let mut bytes = [0; 2 * REACH as usize];
        let bytes = &mut bytes[..(end.saturating_sub(start) & !3) as usize];
        memory.read_memory(HostVirt::new(start), bytes)?;
        let (words, _) = bytes.as_chunks();
        let words = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        Ok(Self { start, words })
    }

    fn index(&self, at: u64) -> Option<usize> {
        let index = (at.checked_sub(self.start)? / 4) as usize;
        (index < self.words.len()).then_some(index)
    }

    /// Tells whether control gets from behind `from` to where `is_there`, without passing an exclusive or `CLREX` before.
    fn reaches(&self, from: usize, is_there: impl Fn(usize) -> bool) -> bool {
        let mut seen = Vec::from_iter(core::iter::repeat_n(false, self.words.len()));
        let mut todo = self.successors(from);
        while let Some(index) = todo.pop() {
            if core::mem::replace(&mut seen[index], true) {
                continue;
            }
            if is_there(index) {
                return true;
            }
            if !ends_sequence(self.words[index]) {
                todo.extend(self.successors(index));
            }
        }
        false
    }

    /// Tells whether `place` is a store-exclusive, or leads to one.
    fn leads_to_store(&self, place: usize) -> bool {
        let is_store = |index: usize| is_store(self.words[index]);
        is_store(place) || !ends_sequence(self.words[place]) && self.reaches(place, is_store)
    }

    /// Returns what may be executed after the instruction at `index`, within the window.
    fn successors(&self, index: usize) -> Vec<usize> {
        let at = self.start + 4 * index as u64;
        let next = at.wrapping_add(4);
        let (onwards, target) = match classify(self.words[index]) {
            Ok(Execution::Simulate(insn)) => flow(insn),
            _ => (true, None),
        };
        let target = target.map(|offset| at.wrapping_add_signed(offset));
        let both = [onwards.then_some(next), target];
        both.into_iter()
            .flatten()
            .filter_map(|at| self.index(at))
            .collect()
    }
}

/// Says whether control goes on behind `insn`, and how far away it may go instead.
fn flow(insn: Insn) -> (bool, Option<i64>) {
    match insn {
        Insn::Branch { offset } => (false, Some(offset)),
        Insn::BranchCond { offset, .. }
        | Insn::CompareBranch { offset, .. }
        | Insn::TestBranch { offset, .. } => (true, Some(offset)),
        Insn::BranchReg { .. } | Insn::Ret { .. } => (false, None),
        _ => (true, None),
    }
}

/// Tells whether a word is a load or store exclusive (ARM ARM C4.1.96: bits 29 to 24 are 001000, bit 23 is clear, and bit 21
/// is clear too or bit 31 is set, which `CASP` has the other way round).
fn is_exclusive(word: u32) -> bool {
    word & 0x3f80_0000 == 0x0800_0000 && (word & 1 << 21 == 0 || word & 1 << 31 != 0)
}

fn is_load(word: u32) -> bool {
    is_exclusive(word) && word & 1 << 22 != 0
}

fn is_store(word: u32) -> bool {
    is_exclusive(word) && word & 1 << 22 == 0
}

/// Tells whether a word ends the sequence before it: it is an exclusive itself, or `CLREX`.
fn ends_sequence(word: u32) -> bool {
    is_exclusive(word) || word & 0xffff_f0ff == 0xd503_305f
}
