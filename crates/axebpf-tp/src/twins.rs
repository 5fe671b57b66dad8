//! Two functions that differ in one tracepoint, for counting what it costs.
//!
//! [`plain`] and [`traced`] make calls, as the functions of a hypervisor do; [`plain_leaf`] and
//! [`traced_leaf`] make none. Count the instructions that each pair executes while nobody listens
//! to [`twin_pass`]:
//!
//! ```
//! use axebpf_tp::twins::{Frame, plain, traced};
//!
//! let (mut a, mut b) = (Frame::default(), Frame::default());
//! assert_eq!(plain(&mut a), traced(&mut b));
//! ```
//!
//! With rustc 1.96 at `-O` for `aarch64-unknown-none-softfloat`, [`plain`] has 12 instructions on the
//! way through and [`traced`] 13: the same ones and the NOP. [`plain_leaf`] has 7 and [`traced_leaf`]
//! 7, the NOP among them: the compiler orders the accesses around it differently, and saves a move.

use core::hint::black_box;

use crate::field_type::Hex;

crate::define_event! {
    /// One of the twins has passed its tracepoint.
    pub event twins:twin_pass as TwinPass {
        /// The VM.
        vm_id: u32,
        /// The vCPU.
        vcpu_id: u32,
        /// The syndrome.
        esr: Hex<u64>,
        /// The program counter.
        pc: Hex<u64>,
        /// How often the fields were evaluated.
        evaluated: u64,
    }
}

/// What the twins work on, in place of a vCPU's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The VM.
    pub vm_id: u32,
    /// The vCPU.
    pub vcpu_id: u32,
    /// The syndrome.
    pub esr: u64,
    /// The program counter.
    pub pc: u64,
    /// How many steps were taken.
    pub steps: u64,
    /// How often the tracepoint's fields were evaluated.
    pub evaluated: u64,
}

impl Frame {
    /// Counts the evaluation.
    fn evaluate(&mut self) -> u64 {
        self.evaluated += 1;
        self.evaluated
    }
}

/// Does one piece of work, out of line.
#[inline(never)]
fn step(frame: &mut Frame) -> u64 {
    frame.steps += 1;
    black_box(frame.pc) + 4
}

/// Does some work.
#[inline(never)]
pub fn plain(frame: &mut Frame) -> u64 {
    let pc = step(frame);
    frame.pc = pc;
    pc ^ step(frame)
}

/// Does the same work, and passes a tracepoint.
#[inline(never)]
pub fn traced(frame: &mut Frame) -> u64 {
    let pc = step(frame);
    crate::trace!(twin_pass {
        vm_id: frame.vm_id,
        vcpu_id: frame.vcpu_id,
        esr: frame.esr,
        pc: frame.pc,
        evaluated: frame.evaluate(),
    });
    frame.pc = pc;
    pc ^ step(frame)
}

/// Does some work without a call.
#[inline(never)]
pub fn plain_leaf(frame: &mut Frame) -> u64 {
    frame.steps += 1;
    frame.esr ^ frame.pc
}

/// Does the same work without a call, and passes a tracepoint.
#[inline(never)]
pub fn traced_leaf(frame: &mut Frame) -> u64 {
    frame.steps += 1;
    crate::trace!(twin_pass {
        vm_id: frame.vm_id,
        vcpu_id: frame.vcpu_id,
        esr: frame.esr,
        pc: frame.pc,
        evaluated: frame.evaluate(),
    });
    frame.esr ^ frame.pc
}
