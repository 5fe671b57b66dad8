//! Why a run of a program ended early.

use thiserror::Error;

/// How a program accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Access {
    /// It reads.
    #[error("read")]
    Read,
    /// It writes, or reads and writes at once.
    #[error("write")]
    Write,
}

/// Why a run of a program ended before the program did.
///
/// `insn` is the index of the instruction slot in the linked program, as in [`CheckError`](crate::CheckError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The program used up its budget.
    #[error("instruction {insn}: the budget of {budget} instructions is used up")]
    Budget {
        /// Where it stopped.
        insn: usize,
        /// The budget that it had.
        budget: u32,
    },
    /// The program accessed memory that is not its own.
    #[error(
        "instruction {insn}: {access} of {len} bytes at {addr:#x} is outside the program's memory"
    )]
    OutOfBounds {
        /// The instruction.
        insn: usize,
        /// What it tried.
        access: Access,
        /// The first address.
        addr: u64,
        /// The number of bytes.
        len: u64,
    },
    /// The program came to an access of something that the target's types do not have (CO-RE).
    ///
    /// [`Program::missing_in_target`](crate::Program::missing_in_target) says what that is.
    #[error(
        "instruction {insn}: CO-RE relocation failed: what it accesses is not in the target's types"
    )]
    MissingInTarget {
        /// The instruction.
        insn: usize,
    },
    /// An atomic operation on an address that is not a multiple of its size.
    #[error("instruction {insn}: atomic operation of {len} bytes at {addr:#x} is not aligned")]
    Misaligned {
        /// The instruction.
        insn: usize,
        /// The address.
        addr: u64,
        /// The size of the operation in bytes.
        len: u64,
    },
    /// Calls nested deeper than there are stack frames.
    #[error("instruction {insn}: the call needs more than {limit} stack frames")]
    CallDepth {
        /// The call.
        insn: usize,
        /// The number of frames there are.
        limit: usize,
    },
    /// A call by register to something that is not a function of the program.
    #[error("instruction {insn}: {target:#x} is no function of the program")]
    NotAFunction {
        /// The call.
        insn: usize,
        /// The register's value.
        target: u64,
    },
    /// Execution left the program, which only those can that were made with
    /// [`Checks::Instructions`](crate::Checks::Instructions).
    #[error("instruction {insn}: there is no such instruction")]
    FellOff {
        /// Where execution went.
        insn: usize,
    },
    /// An argument of a helper that should be a map is none of the program's maps.
    #[error("instruction {insn}: argument {arg} of {helper}, {value:#x}, is no map of the program")]
    NotAMap {
        /// The call.
        insn: usize,
        /// The helper's name.
        helper: &'static str,
        /// The argument, counted from 1.
        arg: u8,
        /// Its value.
        value: u64,
    },
    /// An argument of a helper that should be a ring-buffer record is no live record of this run.
    #[error("instruction {insn}: argument 1 of {helper}, {value:#x}, is no reserved record")]
    NotARecord {
        /// The call.
        insn: usize,
        /// The helper's name.
        helper: &'static str,
        /// The argument's value.
        value: u64,
    },
    /// This CPU is already running a program.
    #[error("this CPU is already running a program")]
    Nested,
    /// The engine failed in a way of its own.
    #[error("engine {engine} gave up")]
    Engine {
        /// The engine's name.
        engine: &'static str,
    },
}

impl RunError {
    /// Returns the index of the instruction slot that the error is about, if it is about one.
    #[must_use]
    pub const fn insn(&self) -> Option<usize> {
        match self {
            Self::Budget { insn, .. }
            | Self::OutOfBounds { insn, .. }
            | Self::MissingInTarget { insn }
            | Self::Misaligned { insn, .. }
            | Self::CallDepth { insn, .. }
            | Self::NotAFunction { insn, .. }
            | Self::FellOff { insn, .. }
            | Self::NotAMap { insn, .. }
            | Self::NotARecord { insn, .. } => Some(*insn),
            Self::Nested | Self::Engine { .. } => None,
        }
    }
}
