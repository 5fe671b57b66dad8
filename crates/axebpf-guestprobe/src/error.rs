//! Why a place in a guest cannot be probed or read.

use axebpf_a64::Refusal;
use axebpf_hit::HitError;
use axebpf_platform::{GuestPhys, GuestVirt, VmId};
use thiserror::Error;

use crate::{GuestLinkId, GuestMemoryFault, ModeUnavailable, ProbeMode, Stage2Error};

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
    /// The instruction cannot be simulated, and the mode cannot step it with what the hypervisor offers.
    #[error(
        "the instruction {word:#010x} at {at} has to be stepped, which {mode} probes cannot do here"
    )]
    NeedsStep {
        /// The place.
        at: GuestVirt,
        /// The instruction.
        word: u32,
        /// The mode.
        mode: ProbeMode,
    },
    /// An indirect branch may go there, which `HVC` is no landing pad for.
    #[error(
        "{word:#010x} at {at} is a landing pad of indirect branches, which hvc probes cannot replace"
    )]
    LandingPad {
        /// The place.
        at: GuestVirt,
        /// The instruction.
        word: u32,
    },
    /// The guest's programs may execute it, too, where an `HVC` is undefined.
    #[error("programs of the guest may execute {at}, too, where an HVC is undefined")]
    ExecutableByPrograms {
        /// The place.
        at: GuestVirt,
    },
    /// The place is between a load exclusive and its store, which a trap would make fail for ever.
    #[error(
        "{word:#010x} at {at} lies within a sequence of exclusives, which no probe can interrupt"
    )]
    InExclusive {
        /// The place.
        at: GuestVirt,
        /// The instruction.
        word: u32,
    },
    /// The guest has put another instruction there at the same time.
    #[error("the guest has just changed the instruction at {at}")]
    Changed {
        /// The place.
        at: GuestVirt,
    },
    /// There are probes of another mode in the page.
    #[error("the page at {page} has {mode} probes already, and a page has probes of one mode")]
    PageMode {
        /// The page.
        page: GuestPhys,
        /// Their mode.
        mode: ProbeMode,
    },
    /// The instruction has a probe at another of its virtual addresses.
    #[error("the instruction at {at} is the one at {known}, which has a probe already")]
    Alias {
        /// The place.
        at: GuestVirt,
        /// Where its probe is.
        known: GuestVirt,
    },
    /// The guest returns to more places than are remembered.
    #[error("calls of probed functions return to more than {limit} places")]
    TooManySites {
        /// How many there can be.
        limit: usize,
    },
    /// The probe is one for another virtual machine.
    #[error("the probe is for virtual machine {vm}, not for this one")]
    OtherVm {
        /// The virtual machine of the probe.
        vm: VmId,
    },
    /// There is no such link.
    #[error("no link has number {}", id.get())]
    NoLink {
        /// The number.
        id: GuestLinkId,
    },
    /// The hypervisor does not offer what the mode needs.
    #[error(transparent)]
    Mode(#[from] ModeUnavailable),
    /// The mapping could not be changed.
    #[error(transparent)]
    Stage2(#[from] Stage2Error),
    /// Nobody has called `axebpf_hit::install`.
    #[error("no platform is installed, so nothing can be hit")]
    NotInstalled,
    /// A hit does not end.
    #[error(transparent)]
    Hit(#[from] HitError),
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
        /// The level of the descriptor, -1 to 3.
        level: i8,
    },
    /// A descriptor has a form that its level does not have.
    #[error("the descriptor {descriptor:#018x} does not exist on level {level}")]
    Reserved {
        /// The level of the descriptor, -1 to 3.
        level: i8,
        /// The descriptor.
        descriptor: u64,
    },
    /// An address is larger than the guest said its addresses are (`TCR_EL1.IPS`).
    #[error("{output} on level {level} has more than {bits} bits")]
    AddressSize {
        /// The level of the descriptor that has it; 0 for a table base register.
        level: i8,
        /// The address.
        output: GuestPhys,
        /// The number of bits of an address.
        bits: u8,
    },
    /// The guest has not set the access flag, and does not let the processor set it.
    #[error("the access flag of level {level} is not set")]
    AccessFlag {
        /// The level of the descriptor, -1 to 3.
        level: i8,
    },
    /// A table is where the guest has no memory.
    #[error("the table of level {level}: {fault}")]
    Table {
        /// The level of the table, -1 to 3.
        level: i8,
        /// What went wrong.
        fault: GuestMemoryFault,
    },
    /// The address is translated to one where the guest has no memory.
    #[error("{fault}")]
    Memory {
        /// What went wrong.
        fault: GuestMemoryFault,
    },
    /// The guest asks for a granule, or for a size of addresses, that does not exist.
    #[error("TCR_EL1 is {tcr:#x}, which asks for a granule or size that does not exist")]
    Unsupported {
        /// The guest's `TCR_EL1`.
        tcr: u64,
    },
}
