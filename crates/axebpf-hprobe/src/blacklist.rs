//! Where no probe may go.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use axebpf_platform::HostVirt;

use crate::HprobeError;

/// Why a range of text must not be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protection {
    /// It is executed before a trap has saved what it interrupted, or after that has been restored.
    TrapEntry,
    /// It is executed during a hit.
    HitPath,
    /// It is executed while text is written.
    TextWriting,
    /// Somebody else writes there, to switch a tracepoint for one.
    Patched,
    /// The hypervisor declared it.
    Declared,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrapEntry => "trap entry or exit",
            Self::HitPath => "executed during a hit",
            Self::TextWriting => "executed while text is written",
            Self::Patched => "a place that something else patches, such as a tracepoint",
            Self::Declared => "declared as not to be probed by the hypervisor",
        })
    }
}

/// Where the text of the hypervisor is, and which parts of it must not be probed.
///
/// A probe on code that a hit itself executes would fire again in each hit. Everything outside the text is
/// out of bounds too.
#[derive(Clone, Debug)]
pub struct Blacklist {
    text: Range<HostVirt>,
    ranges: Vec<Protected>,
}

/// One range that must not be probed.
#[derive(Clone, Debug)]
struct Protected {
    range: Range<HostVirt>,
    why: Protection,
}

impl Blacklist {
    /// Starts with all of `text` open to probes.
    ///
    /// # Errors
    ///
    /// [`HprobeError::ReversedRange`] if `text` ends before it starts.
    pub fn new(text: Range<HostVirt>) -> Result<Self, HprobeError> {
        check(&text)?;
        Ok(Self {
            text,
            ranges: Vec::new(),
        })
    }

    /// Closes `range` to probes. Ranges may overlap; the first one says why.
    ///
    /// # Errors
    ///
    /// [`HprobeError::ReversedRange`] if `range` ends before it starts.
    pub fn protect(&mut self, range: Range<HostVirt>, why: Protection) -> Result<(), HprobeError> {
        check(&range)?;
        self.ranges.push(Protected { range, why });
        Ok(())
    }

    /// Returns where the text is.
    pub(crate) fn text(&self) -> &Range<HostVirt> {
        &self.text
    }

    /// Checks that the four bytes at `at` are text and may be probed.
    ///
    /// # Errors
    ///
    /// [`HprobeError::NotText`] or [`HprobeError::Protected`] if not.
    pub fn check(&self, at: HostVirt) -> Result<(), HprobeError> {
        let Range { start, end } = self.text;
        let last = at.checked_add(3).filter(|&last| start <= at && last < end);
        let Some(last) = last else {
            return Err(HprobeError::NotText { at, start, end });
        };
        let touched = |p: &&Protected| p.range.start <= last && at < p.range.end;
        match self.ranges.iter().find(touched) {
            Some(protected) => Err(HprobeError::Protected {
                at,
                why: protected.why,
            }),
            None => Ok(()),
        }
    }
}

/// Checks that a range is one.
fn check(range: &Range<HostVirt>) -> Result<(), HprobeError> {
    let Range { start, end } = *range;
    if start > end {
        return Err(HprobeError::ReversedRange { start, end });
    }
    Ok(())
}
