//! The stack of a running program.
#![allow(unsafe_code)]

use super::raw::{self, Word};
use super::window::WideWindow;
use super::{FRAME_BYTES, STACK_BYTES};

/// The bytes of a frame.
const FRAME: u64 = FRAME_BYTES as u64;

/// How much of its frame a function is known to use, to be made ready before it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameUse {
    bytes: u16,
}

impl FrameUse {
    /// What the use is a multiple of.
    const STEP: usize = 64;

    /// Rounds a number of bytes to what can be made ready.
    pub(crate) fn new(bytes: usize) -> Self {
        const { assert!(FRAME_BYTES.is_multiple_of(Self::STEP)) };
        let bytes = bytes.clamp(1, FRAME_BYTES).next_multiple_of(Self::STEP);
        Self {
            bytes: bytes as u16,
        }
    }

    fn bytes(self) -> u64 {
        self.bytes.into()
    }
}

/// The frames of the functions that are running.
pub(super) struct Stack {
    /// The live part: from the lowest live byte of the innermost frame to the end of the outermost.
    ///
    /// Of the outermost frame, only a part may be live yet; [`grow`](Self::grow) adds the rest.
    live: WideWindow,
    /// The lowest byte of the innermost frame, live or not.
    frame: u64,
}

impl Stack {
    /// Makes a stack that consists of the main function's frame.
    ///
    /// # Safety
    ///
    /// `STACK_BYTES` bytes from `lowest` on, a multiple of 16, are initialised and belong to the caller alone for as
    /// long as the result is used, their provenance is exposed, and they are accessed through the result only.
    #[inline(always)]
    pub(super) unsafe fn new(lowest: u64, used: FrameUse) -> Self {
        let end = lowest + STACK_BYTES as u64;
        let live = WideWindow::before(end, used.bytes());
        // SAFETY: the bytes are the highest of the stack, for which the caller vouches: less than a frame.
        unsafe { zero(live.start(), used.bytes()) };
        Self {
            live,
            frame: end - FRAME,
        }
    }

    /// Returns the frame pointer, `r10`: the end of the innermost frame.
    #[inline(always)]
    pub(super) fn frame_pointer(&self) -> u64 {
        self.frame + FRAME
    }

    /// Returns the highest bytes, which are always live.
    #[inline(always)]
    pub(super) fn highest(&self) -> WideWindow {
        self.live.highest()
    }

    /// Tells whether the bytes are live.
    #[inline(always)]
    pub(super) fn holds(&self, addr: u64, len: u64) -> bool {
        self.live.holds(addr, len)
    }

    /// Adds a zeroed frame below the others. The caller keeps count of how many there can be.
    #[inline(always)]
    pub(super) fn push(&mut self) {
        self.grow();
        self.frame -= FRAME;
        self.extend(FRAME);
    }

    /// Takes the innermost frame away.
    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.frame += FRAME;
        self.live = self.live.without_lowest(FRAME);
    }

    /// Returns how many bytes of the innermost frame are not live yet, from its lowest on.
    #[inline(always)]
    fn unready(&self) -> u64 {
        self.live.start() - self.frame
    }

    /// Makes the whole innermost frame live.
    #[inline(always)]
    fn grow(&mut self) {
        self.extend(self.unready());
    }

    /// Makes the whole innermost frame live if the address is of the part that is not, and tells whether it was.
    pub(super) fn grow_to(&mut self, addr: u64) -> bool {
        let unready = self.unready();
        let reaches = addr.wrapping_sub(self.frame) < unready;
        if reaches {
            self.extend(unready);
        }
        reaches
    }

    /// Makes as much of the main function's frame live as another program, which goes on in it, is known to use.
    pub(super) fn ready(&mut self, used: FrameUse) {
        let live = FRAME - self.unready();
        self.extend(used.bytes().saturating_sub(live));
    }

    /// Makes `bytes` zeroed bytes below the live ones live, a multiple of [`FrameUse::STEP`] of which the innermost
    /// frame has so many that are not.
    #[inline(always)]
    fn extend(&mut self, bytes: u64) {
        let live = self.live.with_below(bytes);
        // SAFETY: the bytes lie in the stack, for which the caller of `new` vouched: the callers of this function
        // add no more than a frame for each of the frames that the stack is made of.
        unsafe { zero(live.start(), bytes) };
        self.live = live;
    }

    /// Returns the address of an aligned number at `offset` in the innermost frame, whatever the offset is.
    #[inline(always)]
    fn in_frame<W: Word>(&self, offset: i32) -> u64 {
        const { assert!(FRAME.is_power_of_two() && W::LEN.is_power_of_two()) };
        // What stays of the offset is a multiple of the number's length, and less than a frame by that at least.
        self.frame + (u64::from(offset as u32) & (FRAME - W::LEN))
    }

    /// Reads a number in the innermost frame.
    ///
    /// `offset` is from the frame's lowest byte, a multiple of the number's length, and of the part that is live.
    #[inline(always)]
    pub(super) fn load<W: Word>(&self, offset: i32) -> W {
        // SAFETY: the number lies in the innermost frame and is aligned, see `in_frame` and the precondition of `new`,
        // which vouches for the frame's bytes.
        unsafe { W::load_aligned(self.in_frame::<W>(offset)) }
    }

    /// Writes a number in the innermost frame; see [`load`](Self::load).
    #[inline(always)]
    pub(super) fn store<W: Word>(&mut self, offset: i32, value: W) {
        // SAFETY: as in `load`.
        unsafe { W::store_aligned(self.in_frame::<W>(offset), value) }
    }
}

/// Zeroes `bytes` bytes from `addr` on, a multiple of [`FrameUse::STEP`].
///
/// # Safety
///
/// As for [`raw::zero_private`].
#[inline(always)]
unsafe fn zero(addr: u64, bytes: u64) {
    const STEP: u64 = FrameUse::STEP as u64;
    for step in 0..bytes / STEP {
        // SAFETY: the bytes are among those that this function's precondition is about.
        unsafe { raw::zero_private(addr + step * STEP, STEP) };
    }
}
