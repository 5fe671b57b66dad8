//! What the facade adds to `axebpf-hprobe`: symbols.
//!
//! [`HprobeSetup`] turns names into what must not be probed. With a runtime, targets of links are found by name, too.

mod closed;
#[cfg(feature = "runtime")]
mod points;
mod setup;

use alloc::collections::BTreeMap;

use axebpf_hprobe::{Blacklist, Displaced, HprobeError, PointInfo, ProbePoint, inspect};
use axebpf_platform::{HostVirt, Platform};
use axebpf_symbols::SymbolTable;
use spin::Once;

use crate::Error;

#[cfg(feature = "runtime")]
pub(crate) use self::points::{Points, Wanted, points};
pub use self::setup::HprobeSetup;

/// What is known of the image once probes are set up. Probe points are code, so it is one for each image.
pub(crate) struct Functions {
    symbols: &'static SymbolTable<'static>,
    blacklist: Blacklist,
    platform: &'static dyn Platform,
}

static FUNCTIONS: Once<Functions> = Once::new();

/// Returns what is known of the image.
///
/// # Errors
///
/// [`Error::NoHprobes`] before [`HprobeSetup::install`].
#[cfg_attr(not(feature = "runtime"), expect(dead_code))]
pub(crate) fn functions() -> Result<&'static Functions, Error> {
    FUNCTIONS.get().ok_or(Error::NoHprobes)
}

#[cfg_attr(not(feature = "runtime"), expect(dead_code))]
impl Functions {
    pub(crate) fn symbols(&self) -> &'static SymbolTable<'static> {
        self.symbols
    }

    pub(crate) fn blacklist(&self) -> &Blacklist {
        &self.blacklist
    }

    /// Starts an inspection of many places.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`] inside a hit.
    pub(crate) fn inspection(&self) -> Result<Inspection<'_>, Error> {
        let probed = axebpf_hprobe::list()?;
        Ok(Inspection {
            functions: self,
            probed: probed.into_iter().map(|point| (point.at, point)).collect(),
        })
    }
}

/// Finds out which places can be probed. Knows the instructions that probes have replaced.
pub(crate) struct Inspection<'f> {
    functions: &'f Functions,
    probed: BTreeMap<HostVirt, PointInfo>,
}

#[cfg_attr(not(feature = "runtime"), expect(dead_code))]
impl Inspection<'_> {
    /// Returns the instruction at `point` and how it is executed, or why it cannot be probed.
    pub(crate) fn inspect(&self, point: &ProbePoint) -> Result<Displaced, HprobeError> {
        match self.probed.get(&point.at()) {
            Some(known) => Ok(Displaced {
                point: *point,
                word: known.word,
                execution: known.execution,
            }),
            None => inspect(point, self.functions.platform, &self.functions.blacklist),
        }
    }
}
