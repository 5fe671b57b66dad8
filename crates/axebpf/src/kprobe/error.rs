//! What can go wrong with a guest.

use alloc::{boxed::Box, string::String, vec::Vec};

use axebpf_guestprobe::{GuestProbeError, KernelScanError, ProbeMode};
use axebpf_platform::{GuestVirt, VmId};
use axebpf_symbols::KernelSymbolError;
use thiserror::Error;

/// What can go wrong with a guest and its functions. Whatever fails has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuestError {
    /// There is no such guest, or the hypervisor has not opened it to probes.
    #[error("VM {vm} is not open to probes")]
    NoGuest {
        /// What was asked for.
        vm: VmId,
    },
    /// The hypervisor has opened no guest at all.
    #[error("no VM is open to probes")]
    NoGuests,
    /// There are several guests, and the target does not say which.
    #[error("{} VMs are open to probes, and the target does not say which it means", guests.len())]
    WhichGuest {
        /// Those that there are.
        guests: Vec<VmId>,
    },
    /// The guest is open already.
    #[error("VM {vm} is open to probes already")]
    Open {
        /// The guest.
        vm: VmId,
    },
    /// The guest's kernel has not run yet with its translation enabled.
    #[error("the kernel of VM {vm} does not run yet")]
    NoKernel {
        /// The guest.
        vm: VmId,
    },
    /// Probes in this mode have to wait until the guest's kernel has changed its own text, which it does before it runs
    /// programs.
    #[error("the kernel of VM {vm} is still starting, which is too early for {mode} probes")]
    TooEarly {
        /// The guest.
        vm: VmId,
        /// The mode.
        mode: ProbeMode,
    },
    /// The symbols are those of another kernel, or of this one elsewhere: a `System.map`, say, of a kernel that has
    /// chosen its place at random.
    #[error("the symbols do not fit the kernel that runs in VM {vm}: it executes nothing at {at}")]
    Elsewhere {
        /// The guest.
        vm: VmId,
        /// Where one of the symbols says that there is a function.
        at: GuestVirt,
    },
    /// By how far the guest's kernel runs from where a file has its symbols cannot be found out. Somebody has to say
    /// it.
    #[error("where the kernel of VM {vm} runs is not found out: {cause}")]
    NoSlide {
        /// The guest.
        vm: VmId,
        /// Why not.
        cause: Box<GuestError>,
    },
    /// Symbols are not those of the kernel that runs.
    #[error("the symbols are of another kernel than the one that runs: {0}")]
    Stranger(KernelSymbolError),
    /// The type information of the guest's kernel, which programs ask for, is not there.
    #[error("the types of the kernel of VM {vm} are not known: {cause}")]
    NoTypes {
        /// The guest.
        vm: VmId,
        /// Why not.
        cause: KernelScanError,
    },
    /// Management was called in a hit, where it would wait for itself.
    #[error("not possible inside a hit")]
    InHit,
    /// The guest's kernel has no such function.
    #[error("the kernel of VM {vm} has no function `{name}`")]
    NoFunction {
        /// The guest.
        vm: VmId,
        /// What was asked for.
        name: String,
        /// Functions that may have been meant, the likeliest first.
        near: Vec<String>,
    },
    /// Several functions have this name: static ones of different files.
    #[error("{} functions of the kernel of VM {vm} are called `{name}`", addresses.len())]
    Ambiguous {
        /// The guest.
        vm: VmId,
        /// The name.
        name: String,
        /// Where they start.
        addresses: Vec<GuestVirt>,
    },
    /// What should name a function, or a module and a function of it, is empty.
    #[error("`{name}` names no function")]
    NoName {
        /// What was asked for.
        name: String,
    },
    /// No instruction begins in the middle of another one.
    #[error("no instruction begins {offset} bytes after the start of `{name}`: each has 4 bytes")]
    BetweenInstructions {
        /// The function.
        name: String,
        /// The offset that was asked for.
        offset: u64,
    },
    /// The return of a function is probed at its entry, and this is not one.
    #[error("`{name}` is not the entry of a function, at which its return is probed")]
    NotAnEntry {
        /// What was asked for.
        name: String,
    },
    /// The place is behind the end of the function.
    #[error("`{name}` has {size} bytes, so {offset:#x} is outside of it")]
    OutsideFunction {
        /// The function.
        name: String,
        /// The offset that was asked for.
        offset: u64,
        /// The distance to the next symbol in bytes.
        size: u64,
    },
    /// A glob means more functions than may be probed at once.
    #[error("`{glob}` means {found} functions, more than the limit of {limit}")]
    TooMany {
        /// The glob.
        glob: String,
        /// How many functions it means.
        found: usize,
        /// How many a link may have.
        limit: usize,
    },
    /// A place cannot be probed.
    #[error(transparent)]
    Probe(#[from] GuestProbeError),
    /// The symbols are not in the guest's memory.
    #[error("the symbols of VM {vm} are not found: {cause}")]
    Scan {
        /// The guest.
        vm: VmId,
        /// What is missing.
        cause: KernelScanError,
    },
    /// What was given or found are no symbols of a kernel.
    #[error("these are no symbols of a kernel: {0}")]
    Symbols(#[from] KernelSymbolError),
}
