//! Closing to probes what a function calls, too.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use axebpf_a64::{Execution, Insn, classify};
use axebpf_platform::{HostVirt, ReadMemory};

use crate::{Blacklist, HprobeError, Protection};

/// How many functions are followed. A hit has no business to call as many.
const LIMIT: usize = 4096;

/// How many bytes of a function are read at a time.
const PIECE: u64 = 256;

/// What is still to be looked at, and what was.
struct Search<'f> {
    function_at: &'f dyn Fn(HostVirt) -> Option<Range<HostVirt>>,
    todo: Vec<HostVirt>,
    seen: BTreeSet<HostVirt>,
}

impl Blacklist {
    /// Closes `roots` to probes, and all functions that they call, directly or through others. Returns how many
    /// functions that are.
    ///
    /// Calls and jumps to a fixed address are followed; those through a register are not, so that what is called by
    /// them, such as the methods of the platform, has to be among the roots. `function_at` says where the function lies
    /// that an address belongs to; where it says `None`, the function is neither closed nor followed: that is for what
    /// a hit never comes to, such as panics.
    ///
    /// # Errors
    ///
    /// [`HprobeError::TooManyReachable`] when there is no end to it, and what reading the functions and closing
    /// their ranges can meet. Some may be closed then.
    pub fn protect_reachable(
        &mut self,
        roots: impl IntoIterator<Item = HostVirt>,
        function_at: &dyn Fn(HostVirt) -> Option<Range<HostVirt>>,
        memory: &(impl ReadMemory + ?Sized),
        why: Protection,
    ) -> Result<usize, HprobeError> {
        let mut search = Search {
            function_at,
            todo: roots.into_iter().collect(),
            seen: BTreeSet::new(),
        };
        while let Some(function) = search.next() {
            if search.seen.len() > LIMIT {
                return Err(HprobeError::TooManyReachable { limit: LIMIT });
            }
            search.follow(&function, memory)?;
            self.protect(function, why)?;
        }
        Ok(search.seen.len())
    }
}

impl Search<'_> {
    /// Returns a function that was not looked at yet.
    fn next(&mut self) -> Option<Range<HostVirt>> {
        while let Some(at) = self.todo.pop() {
            if let Some(function) = (self.function_at)(at)
                && self.seen.insert(function.start)
            {
                return Some(function);
            }
        }
        None
    }

    /// Notes the functions to which `function` branches.
    fn follow(
        &mut self,
        function: &Range<HostVirt>,
        memory: &(impl ReadMemory + ?Sized),
    ) -> Result<(), HprobeError> {
        let (mut at, end) = (function.start.get(), function.end.get());
        while at < end {
            let mut bytes = [0; PIECE as usize];
            let bytes = &mut bytes[..(end - at).min(PIECE) as usize];
            memory.read_memory(HostVirt::new(at), bytes)?;
            let (words, _) = bytes.as_chunks();
            for (word, index) in words.iter().zip(0..) {
                let target = branch_target(u32::from_le_bytes(*word), at + 4 * index);
                let is_elsewhere = |target: &HostVirt| !function.contains(target);
                self.todo.extend(target.filter(is_elsewhere));
            }
            at = at.saturating_add(PIECE);
        }
        Ok(())
    }
}

/// Returns where the instruction `word`, at `at`, may branch to, if that is a fixed address.
fn branch_target(word: u32, at: u64) -> Option<HostVirt> {
    let Ok(Execution::Simulate(
        Insn::Branch { offset }
        | Insn::BranchLink { offset }
        | Insn::BranchCond { offset, .. }
        | Insn::CompareBranch { offset, .. }
        | Insn::CompareTwo { offset, .. }
        | Insn::TestBranch { offset, .. },
    )) = classify(word)
    else {
        return None;
    };
    Some(HostVirt::new(at.wrapping_add_signed(offset)))
}
