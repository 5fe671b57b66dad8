//! What there is once in an image.

use crate::Error;

/// Prepares the tracepoints of the image.
///
/// For a hypervisor that only switches tracepoints, through
/// `tracepoint::TracepointManager::global()`. [`Axebpf::new`](crate::Axebpf::new) calls it too,
/// after installing its platform. Call it after the image runs at its final mapping; to call it
/// again does nothing.
///
/// A hypervisor calls [`axebpf_hit::install`] first, with its own platform or that of the feature
/// `axhal`; without, tracepoints can be listed but not enabled. Under an operating system, where
/// there is std, the host platform is installed if none is.
///
/// # Errors
///
/// `Error::Tracepoint` when the tracepoints of the image are inconsistent, and [`Error::Hit`] when
/// the host platform cannot be installed.
pub fn init() -> Result<(), Error> {
    if axebpf_hit::platform().is_none() {
        install_default()?;
    }
    #[cfg(feature = "tracepoint-support")]
    axebpf_tp::init()?;
    Ok(())
}

#[cfg(not(target_os = "none"))]
fn install_default() -> Result<(), Error> {
    Ok(axebpf_hit::install(&axebpf_platform::host::HOST)?)
}

/// Only the hypervisor knows what its platform is.
#[cfg(target_os = "none")]
fn install_default() -> Result<(), Error> {
    Ok(())
}
