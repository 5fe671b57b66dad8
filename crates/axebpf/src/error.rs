//! What can go wrong in the facade.

#[cfg(feature = "runtime")]
use alloc::{string::String, vec::Vec};

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
    /// This build cannot attach to probe points of this kind.
    #[cfg(feature = "runtime")]
    #[error("cannot attach to {target}: {}s are not available in this build", target.probe_type())]
    NotAvailable {
        /// What was asked for.
        target: Target,
    },
    /// The filter of a link needs a record to look at, which its kind of probe point does not have.
    #[cfg(feature = "runtime")]
    #[error("cannot filter {target}: only the fields of tracepoints can be filtered")]
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
