//! The memory that a running program may access, and the check that every access passes.
//!
//! Registers hold native addresses. Each access is checked, first and last byte, against the frames of the stack that
//! are live, the context, the values of the program's maps (one value at a time, never across two), and the ring-buffer
//! records that the program has reserved. Windows make that fast: one comparison tells whether a number lies in the
//! context, one whether it lies in the stack, and two windows remember the map value or record that was last read and
//! written, which is the one that was last looked up to begin with.
//!
//! The one access that is not checked at run time is at a fixed, aligned place in the innermost frame, checked at load
//! (see [`specialize`](crate::specialize)); whatever its number, it cannot leave the frame.

mod access;
mod cpu;
mod inner;
mod raw;
mod records;
mod region;
mod stack;
mod window;

pub(crate) use cpu::{Frame, Lease, Parts, SCRATCH_BYTES};
pub(crate) use records::Reservation;
pub(crate) use region::Memory;
pub(crate) use stack::FrameUse;
pub(crate) use window::Violation;

/// The bytes of one stack frame.
pub const FRAME_BYTES: usize = 512;

/// The bytes of the whole stack of a program.
pub(crate) const STACK_BYTES: usize = FRAME_BYTES * crate::check::MAX_FRAMES;
