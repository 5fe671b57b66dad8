//! A64 instructions that a probe displaces: may they be, and what do they do?
//!
//! A probe puts a trapping instruction in the place of another one. That other one must still be executed,
//! exactly once and with exactly its effect. [`classify`] says for each of the 2³² instruction words how:
//! out of line, by [`simulate`], or not at all.
//!
//! Out of line is only what is known to do the same at another address and after a trap. Whatever is not
//! known is refused, with a [`Refusal`] to tell the user. Today that includes all of the vector,
//! floating-point, SVE and SME instructions.
//!
//! Simulated are hints, direct and indirect branches, `ADR`, `ADRP`, loads of literals, moves and additions
//! of immediates, and `STR` and `STP` with pre-indexing, with which functions begin.
//!
//! # Examples
//!
//! ```
//! use axebpf_a64::{Execution, classify};
//!
//! fn explain(word: u32) -> String {
//!     match classify(word) {
//!         Ok(Execution::OutOfLine) => "executed out of line".into(),
//!         Ok(Execution::Simulate(insn)) => format!("simulated as {insn:?}"),
//!         Err(why) => format!("cannot be probed: {why}"),
//!     }
//! }
//!
//! assert_eq!(explain(0xd69f_03e0), "cannot be probed: it returns from an exception");
//! assert_eq!(explain(0x1400_0001), "simulated as Branch { offset: 4 }");
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod arithmetic;
mod branch;
mod class;
mod floating_point;
mod immediate;
mod insn;
mod memory_access;
mod register;
mod regs;
mod sequence;
mod simulate;
mod system;
mod vector;
mod vector_access;
mod word;

pub use class::{Execution, Refusal, classify};
pub use insn::{
    AddSub, BranchIf, Comparand, Comparison, Insn, LandingPad, Literal, MoveWide, Size, StateField,
    Width,
};
pub use regs::{Cond, Flags, PtRegs, Reg, RegSp};
pub use sequence::{ExclusiveSequence, exclusive_sequence};
pub use simulate::{BranchTargets, Memory, MemoryFault, SimulateError, simulate};
