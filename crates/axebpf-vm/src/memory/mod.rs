//! The memory that a running program may access, and the check that every access passes.
//!
//! Registers hold native addresses. Each access is checked, first and last byte, against the frames of the stack that are
//! live, the context, the values of the program's maps (one value at a time, never across two), and the
//! ring-buffer records that the program has reserved. Two windows remember the map value or record that was last
//! read and written, so that an access costs a few comparisons as long as the program stays with its stack, its context
//! and one of those.

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
