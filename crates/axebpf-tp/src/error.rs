//! What can go wrong with tracepoints.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use axebpf_hit::{FenceError, HitError};
use axebpf_platform::{HostVirt, ReadFault};
use axebpf_symbols::GlobError;
use thiserror::Error;

use crate::filter::FilterError;

/// Why something could not be done with tracepoints. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TpError {
    /// [`init`](crate::init) has not run.
    #[error("the tracepoints are not initialised")]
    NotInitialised,
    /// `axebpf_hit::install` has not run.
    #[error("no platform is installed")]
    NotInstalled,
    /// Two definitions have the same name.
    #[error("the event `{name}` is defined twice")]
    DuplicateEvent {
        /// The name.
        name: &'static str,
    },
    /// [`init`](crate::init) has run, so that no more events can be imported.
    #[error("the tracepoints are initialised; events are imported before that")]
    AlreadyInitialised,
    /// The record of an imported event would be too long.
    #[error("a record of `{event}` has {len} bytes, more than {limit}")]
    RecordTooLong {
        /// The event.
        event: &'static str,
        /// How long the record would be.
        len: usize,
        /// How long records may be.
        limit: usize,
    },
    /// There are more events than record numbers.
    #[error("{count} events are more than the 65535 that there are numbers for")]
    TooManyEvents {
        /// How many there are.
        count: usize,
    },
    /// No event has this name.
    #[error("no tracepoint is called `{name}`{}", Suggestions(similar))]
    UnknownEvent {
        /// The name.
        name: String,
        /// Events with similar names, the most similar one first.
        similar: Vec<&'static str>,
    },
    /// No event matches.
    #[error("no tracepoint matches `{glob}`{}", Suggestions(similar))]
    NoMatch {
        /// The pattern.
        glob: String,
        /// Events with similar names, the most similar one first.
        similar: Vec<&'static str>,
    },
    /// The pattern is none.
    #[error("`{glob}`: {cause}")]
    BadGlob {
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        cause: GlobError,
    },
    /// The filter cannot be compiled for an event.
    #[error("filter for `{event}`: {cause}")]
    BadFilter {
        /// The event.
        event: &'static str,
        /// What is wrong with the filter.
        cause: FilterError,
    },
    /// The filter was compiled for another event.
    #[error("the filter is for `{filter}`, not for `{event}`")]
    ForeignFilter {
        /// The event that was to be subscribed to.
        event: &'static str,
        /// The event that the filter is for.
        filter: &'static str,
    },
    /// The event pairs with its start by a field that the start does not have, or that is longer
    /// than four bytes.
    #[error("`{event}` cannot pair with `{start}` by the field `{field}`")]
    BadPairing {
        /// The event that ends the interval.
        event: &'static str,
        /// The event that starts it.
        start: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Hits cannot subscribe or cancel: doing so waits for hits to end.
    #[error("not possible inside a hit")]
    InHit,
    /// There is no memory.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The size of the event buffer is out of range.
    #[error("{bytes} bytes for each CPU are not between {min} and {max}")]
    BufferSize {
        /// What was asked for.
        bytes: usize,
        /// The least that there can be.
        min: usize,
        /// The most that there can be.
        max: usize,
    },
    /// The branch of a tracepoint cannot reach its target, 128 MiB away at most.
    #[error("`{event}`: no branch from {at} reaches {target}")]
    BranchOutOfRange {
        /// The event.
        event: &'static str,
        /// Where the tracepoint is.
        at: HostVirt,
        /// Where it should go.
        target: HostVirt,
    },
    /// Something else is at a tracepoint than what was put there.
    #[error("{at} holds {found:#010x} where {expected:#010x} should be")]
    UnexpectedText {
        /// Where the tracepoint is.
        at: HostVirt,
        /// The instruction that is there.
        found: u32,
        /// The instruction that should be there.
        expected: u32,
    },
    /// The text at a tracepoint cannot be read.
    #[error("text of a tracepoint: {cause}")]
    SiteUnreadable {
        /// What the platform said.
        cause: ReadFault,
    },
    /// The text of a tracepoint cannot be written.
    #[error("text of a tracepoint: {cause}")]
    Fence {
        /// What the fence said.
        #[from]
        cause: FenceError,
    },
    /// The hit environment failed.
    #[error("{cause}")]
    Hit {
        /// What it said.
        #[from]
        cause: HitError,
    },
}

/// Displays names that may have been meant.
struct Suggestions<'a>(&'a [&'static str]);

impl fmt::Display for Suggestions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            let lead = if i == 0 { "; did you mean " } else { ", " };
            write!(f, "{lead}`{name}`")?;
        }
        Ok(())
    }
}
