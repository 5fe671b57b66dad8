//! Why a place in a guest cannot be probed or read.

use axebpf_a64::Refusal;
use axebpf_platform::{GuestPhys, GuestVirt};
use thiserror::Error;

use crate::GuestMemoryFault;

/// Says why a place in a guest cannot be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuestProbeError {
    /// The place is not the start of an instruction.
    #[error("{at} is no multiple of 4, and so no instruction")]
    Misaligned {
        /// The place.
        at: GuestVirt,
    },
    /// The guest's tables do not lead there.
    #[error(transparent)]
    Walk(#[from] WalkFault),
    /// The guest's kernel may not execute it.
    #[error("the guest's kernel may not execute {at}")]
    NotExecutable {
        /// The place.
        at: GuestVirt,
    },
    /// The instruction cannot be read.
    #[error(transparent)]
    Memory(#[from] GuestMemoryFault),
    /// The instruction cannot be displaced.
    #[error("the instruction {word:#010x} at {at} cannot be probed: {why}")]
    Refused {
        /// The place.
        at: GuestVirt,
        /// The instruction.
        word: u32,
        /// Why it cannot be displaced.
        why: Refusal,
    },
}

/// A virtual address that the guest's tables do not translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{at} in the guest: {problem}")]
pub struct WalkFault {
    /// The virtual address.
    pub at: GuestVirt,
    /// Why it has no translation.
    #[source]
    pub problem: WalkProblem,
}

/// Why a virtual address has no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WalkProblem {
    /// The address is in neither of the two ranges.
    #[error("it is outside of both ranges of addresses")]
    OutOfRange,
    /// The guest has disabled the range (`TCR_EL1.EPD0`, `EPD1`).
    #[error("its range of addresses is disabled")]
    Disabled,
    /// A descriptor is invalid: nothing is mapped.
    #[error("the descriptor of level {level} is invalid")]
    Invalid {
        /// The level of the descriptor, 0 to 3.
        level: u8,
    },
    /// A descriptor has a form that its level does not have.
    #[error("the descriptor {descriptor:#018x} does not exist on level {level}")]
    Reserved {
        /// The level of the descriptor, 0 to 3.
        level: u8,
        /// The descriptor.
        descriptor: u64,
    },
    /// An address is larger than the guest said its addresses are (`TCR_EL1.IPS`).
    #[error("{output} on level {level} has more than {bits} bits")]
    AddressSize {
        /// The level of the descriptor that has it; the first level for a table base register.
        level: u8,
        /// The address.
        output: GuestPhys,
        /// The number of bits of an address.
        bits: u8,
    },
    /// The guest has not set the access flag, and does not let the processor set it.
    #[error("the access flag of level {level} is not set")]
    AccessFlag {
        /// The level of the descriptor, 0 to 3.
        level: u8,
    },
    /// A table is where the guest has no memory.
    #[error("the table of level {level}: {fault}")]
    Table {
        /// The level of the table, 0 to 3.
        level: u8,
        /// What went wrong.
        fault: GuestMemoryFault,
    },
    /// The address is translated to one where the guest has no memory.
    #[error("{fault}")]
    Memory {
        /// What went wrong.
        fault: GuestMemoryFault,
    },
    /// The guest's tables are big-endian (`SCTLR_EL1.EE`), which is not supported.
    #[error("the guest's tables are big-endian, which is not supported")]
    BigEndian,
    /// The guest uses a translation that is not supported.
    #[error("TCR_EL1 is {tcr:#x}, which asks for an unsupported granule or size")]
    Unsupported {
        /// The guest's `TCR_EL1`.
        tcr: u64,
    },
}
