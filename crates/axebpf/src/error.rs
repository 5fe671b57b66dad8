//! What can go wrong in the facade.

#[cfg(any(feature = "runtime", feature = "hprobe"))]
use alloc::string::String;
#[cfg(feature = "runtime")]
use alloc::vec::Vec;

use axebpf_hit::HitError;
use thiserror::Error;

#[cfg(feature = "runtime")]
use crate::{LinkId, MapId, ObjectId, ProgramId, Target};

/// What can go wrong. Whatever fails has changed nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Management was called in a hit, where it would wait for itself.
    #[error("not possible inside a hit")]
    InHit,
    /// The hit environment refuses.
    #[error(transparent)]
    Hit(#[from] HitError),
    /// The tracepoints refuse.
    #[cfg(feature = "tracepoint-support")]
    #[error(transparent)]
    Tracepoint(#[from] axebpf_tp::TpError),
    /// A filter cannot be compiled for its event.
    #[cfg(feature = "tracepoint-support")]
    #[error("the filter: {0}")]
    Filter(#[from] axebpf_tp::FilterError),
    /// An object cannot be loaded.
    #[cfg(feature = "runtime")]
    #[error(transparent)]
    Load(#[from] axebpf_vm::LoadError),
    /// A map refuses.
    #[cfg(feature = "runtime")]
    #[error(transparent)]
    Map(#[from] axebpf_maps::MapError),
    /// There is no memory for what programs print.
    #[cfg(feature = "runtime")]
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// There is no such object (any more).
    #[cfg(feature = "runtime")]
    #[error("there is no object {id}")]
    NoObject {
        /// What was asked for.
        id: ObjectId,
    },
    /// There is no such program (any more).
    #[cfg(feature = "runtime")]
    #[error("there is no program {id}")]
    NoProgram {
        /// What was asked for.
        id: ProgramId,
    },
    /// There is no such map (any more).
    #[cfg(feature = "runtime")]
    #[error("there is no map {id}")]
    NoMap {
        /// What was asked for.
        id: MapId,
    },
    /// There is no such link (any more).
    #[cfg(feature = "runtime")]
    #[error("there is no link {id}")]
    NoLink {
        /// What was asked for.
        id: LinkId,
    },
    /// An object cannot be unloaded while its programs are attached.
    #[cfg(feature = "runtime")]
    #[error("object {object} is in use by {}", count(links.len(), "link"))]
    Busy {
        /// The object.
        object: ObjectId,
        /// What holds its programs.
        links: Vec<LinkId>,
    },
    /// An object or a pin cannot have this name.
    #[cfg(feature = "runtime")]
    #[error("`{name}` cannot be a name: 1 to {limit} bytes, no blanks or control characters")]
    BadName {
        /// The name.
        name: String,
        /// The most bytes a name can have.
        limit: usize,
    },
    /// A map was to be reused for one that the object does not have.
    #[cfg(feature = "runtime")]
    #[error("the object has no map `{name}`")]
    NoSuchMapInObject {
        /// The name of the map in the object.
        name: String,
    },
    /// Nothing is pinned by this name.
    #[cfg(feature = "runtime")]
    #[error("no map is pinned as `{name}`")]
    NotPinned {
        /// The name.
        name: String,
    },
    /// The section of a program names no probe point, and none was given.
    #[cfg(feature = "runtime")]
    #[error("program {program} does not say where to attach it: {cause}")]
    NoTarget {
        /// The program.
        program: ProgramId,
        /// What is wrong with its section.
        cause: axebpf_vm::SectionError,
    },
    /// There is no such tracepoint in this image.
    #[cfg(feature = "runtime")]
    #[error("there is no tracepoint `{name}`")]
    NoEvent {
        /// What was asked for, as `system:name`.
        name: String,
    },
    /// A link that may have no calls in flight misses them all.
    #[cfg(feature = "runtime")]
    #[error("{target}: with room for 0 calls in flight, each of them would be missed")]
    NoCalls {
        /// What was to be attached to.
        target: Target,
    },
    /// This build cannot attach to probe points of this kind.
    #[cfg(feature = "runtime")]
    #[error("cannot attach to {target}: {}s are not available in this build", target.probe_type())]
    NotAvailable {
        /// What was asked for.
        target: Target,
    },
    /// The hypervisor has not opened its functions to probes.
    #[cfg(feature = "hprobe")]
    #[error("this hypervisor has not set up probes on its functions")]
    NoHprobes,
    /// A place of the hypervisor cannot be probed.
    #[cfg(feature = "hprobe")]
    #[error(transparent)]
    Hprobe(#[from] axebpf_hprobe::HprobeError),
    /// A pattern over the names of functions is none.
    #[cfg(feature = "hprobe")]
    #[error("`{text}` is no glob: {cause}")]
    BadGlob {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        cause: axebpf_symbols::GlobError,
    },
    /// There is no such function in the image; it may have been inlined everywhere.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("there is no function `{name}`; the compiler may have inlined it")]
    NoFunction {
        /// What was asked for.
        name: String,
        /// Functions that may have been meant, the likeliest first.
        near: Vec<String>,
    },
    /// Several functions have this name: instances of a generic one, say.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("{} functions are called `{name}`", addresses.len())]
    Ambiguous {
        /// The name.
        name: String,
        /// Where they start.
        addresses: Vec<axebpf_platform::HostVirt>,
    },
    /// The place is behind the end of the function.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("`{name}` has {size} bytes, so {offset:#x} is outside of it")]
    OutsideFunction {
        /// The function.
        name: String,
        /// The offset that was asked for.
        offset: u64,
        /// The size of the function in bytes.
        size: u64,
    },
    /// The return of a function is probed at its entry, and this is not one.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("{at} is within the function at {function}; its return is probed at its entry")]
    NotAnEntry {
        /// What was asked for.
        at: axebpf_platform::HostVirt,
        /// Where the function starts.
        function: axebpf_platform::HostVirt,
    },
    /// A glob, which can mean many functions, came with an offset into one.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("`{glob}` can mean many functions, which no offset fits")]
    OffsetOfMany {
        /// The glob.
        glob: String,
    },
    /// A glob means more functions than may be probed at once.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("`{glob}` means {found} functions, more than the limit of {limit}")]
    TooManyFunctions {
        /// The glob.
        glob: String,
        /// How many functions it means.
        found: usize,
        /// How many a link may have.
        limit: usize,
    },
    /// None of the functions that a glob means can be probed.
    #[cfg(all(feature = "hprobe", feature = "runtime"))]
    #[error("none of the {} that `{glob}` means can be probed: {first}", count(*found, "function"))]
    NothingToProbe {
        /// The glob.
        glob: String,
        /// How many functions it means.
        found: usize,
        /// Why the first one cannot be probed.
        first: axebpf_hprobe::HprobeError,
    },
    /// Something is wrong with a guest or a function of it.
    #[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
    #[error(transparent)]
    Guest(#[from] crate::GuestError),
    /// The filter of a link needs a record to look at, which its kind of probe point does not have.
    #[cfg(feature = "runtime")]
    #[error("cannot filter {target}: there are no fields to filter by in this build")]
    NoFields {
        /// What was asked for.
        target: Target,
    },
}

/// Shows `1 link`, `2 links`.
#[cfg(feature = "runtime")]
fn count(count: usize, what: &str) -> impl core::fmt::Display {
    core::fmt::from_fn(move |f| write!(f, "{count} {what}{}", if count == 1 { "" } else { "s" }))
}
