//! What can go wrong in a platform.

use thiserror::Error;

use crate::HostVirt;

/// Memory that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot read memory at {addr}")]
pub struct ReadFault {
    /// The first address that could not be read.
    pub addr: HostVirt,
}

/// Text that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// The platform cannot write text at all.
    #[error("this platform cannot patch text")]
    Unsupported,
    /// The range is not hypervisor text.
    #[error("{at}, {len} bytes, is not hypervisor text")]
    NotText {
        /// Where the write should have gone.
        at: HostVirt,
        /// How many bytes it has.
        len: usize,
    },
}

/// Executable memory that could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The platform has no executable memory to give.
    #[error("this platform has no executable memory to give")]
    Unsupported,
    /// There is none left.
    #[error("no executable memory left for {len} bytes")]
    Exhausted {
        /// How many bytes were asked for.
        len: usize,
    },
}
