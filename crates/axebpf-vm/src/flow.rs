//! Helpers that steer the program: callbacks and tail calls.
//!
//! Most helpers return a value and are done ([`Helpers::call`](crate::helper::Helpers::call)). A helper for which
//! [`Helper::steers`] holds goes through [`Helpers::steer`](crate::helper::Helpers::steer) instead, which answers with a
//! [`Flow`]: a value, a function of the program to be called, or another program to go on with.
//!
//! A callback runs in a frame of its own on the program's stack, like a local call: it costs budget like any other
//! code, it counts against [`MAX_FRAMES`](crate::MAX_FRAMES), and the engine does not recurse for it. While it runs,
//! its frame keeps a
//! [`Pending`], the helper and as much as it has to remember. When it returns, the engine hands both, the [`Pending`] and
//! the callback's `r0`, to [`Helpers::resume`](crate::helper::Helpers::resume), which answers with a [`Flow`] again:
//! the next call of the callback, in the same frame, or the value that the whole helper call leaves in `r0`.
//!
//! To add such a helper: list it in [`Helper::steers`], give it an arm in `steer` that checks its arguments and returns
//! the first
//! [`Flow::Call`], and one in `resume`. Nothing in the interpreter changes.
//!
//! A tail call replaces the program that runs by another one, which starts in the main function's frame with the
//! context in `r1` and `r2`. The budget goes on; there are at most [`MAX_TAIL_CALLS`] in a run. The slots of a program
//! array hold each an `Arc<Program>`, which whoever manages the array puts there (`Map::write_program`); the index of
//! an instruction in an error is one of the program that was running.

use crate::helper::Helper;
use crate::interp::Image;

/// The number of tail calls that a run can make, as in Linux.
pub const MAX_TAIL_CALLS: u32 = 33;

/// What the engine does next for a helper that steers the program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flow<'r> {
    /// Goes on after the call, with this in `r0`.
    Return(u64),
    /// Calls the function of the program whose address is [`Pending::function`], with these in `r1` to `r5`.
    Call { pending: Pending, args: [u64; 5] },
    /// Goes on at the start of another program, which never returns here.
    Tail(Image<'r>),
}

/// A helper in the middle of its work, for which a function of the program runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// Which helper.
    pub(crate) helper: Helper,
    /// The address of the function, as a register holds it.
    pub(crate) function: u64,
    /// What the helper has to remember.
    pub(crate) state: [u64; 4],
}
