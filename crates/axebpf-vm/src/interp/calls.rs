//! Calls of functions of the program: where they go, and where they return to.

use crate::check::MAX_FRAMES;
use crate::decode::CODE_TAG;
use crate::memory::Frame;

/// The functions that wait for others to return.
pub(super) struct Calls<'f> {
    frames: &'f mut [Frame; MAX_FRAMES],
    depth: usize,
}

impl<'f> Calls<'f> {
    pub(super) fn new(frames: &'f mut [Frame; MAX_FRAMES]) -> Self {
        Self { frames, depth: 0 }
    }

    /// Remembers the caller of a function; `None` when there are as many as there can be.
    #[inline(always)]
    pub(super) fn enter(&mut self, frame: Frame) -> Option<()> {
        // The function that is called has a frame on the stack, too.
        let (_, callers) = self.frames.split_last_mut()?;
        *callers.get_mut(self.depth)? = frame;
        self.depth += 1;
        Some(())
    }

    /// Returns the caller of the function that runs, unless it is the main function.
    #[inline(always)]
    pub(super) fn caller(&mut self) -> Option<&mut Frame> {
        self.frames.get_mut(self.depth.checked_sub(1)?)
    }

    /// Forgets the caller of the function that returns.
    #[inline(always)]
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// Returns the first instruction of the function whose address a register holds.
pub(super) fn function_at(functions: &[u32], address: u64) -> Option<usize> {
    let start = u32::try_from(address ^ CODE_TAG).ok()?;
    functions.binary_search(&start).ok().map(|_| start as usize)
}
