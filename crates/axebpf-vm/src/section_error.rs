//! What can be wrong with a section name.

use alloc::string::String;

use thiserror::Error;

/// A section name that does not say where a program attaches.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SectionError {
    /// The name does not start with a kind of program.
    #[error(
        "section {section:?} is of no known kind \
         (tracepoint/, tp/, hprobe/, hretprobe/, kprobe/, kretprobe/)"
    )]
    UnknownKind {
        /// The section's name.
        section: String,
    },
    /// The name has a kind, but no target.
    #[error("section {section:?} names no target to attach to")]
    NoTarget {
        /// The section's name.
        section: String,
    },
    /// The target is not one of its kind.
    #[error("{target:?} is no target (<system>/<event>, or <symbol>[+<offset>])")]
    BadTarget {
        /// What stands after the kind.
        target: String,
    },
}
