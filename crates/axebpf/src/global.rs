//! What there is once in an image.

use crate::Error;

/// Prepares what there is once in an image: a platform, if none is installed yet, and the tracepoints.
///
/// For a hypervisor that only switches tracepoints, through `tracepoint::TracepointManager::global()`.
/// [`Axebpf::new`](crate::Axebpf::new) calls it too, after installing its own platform. Call it after the image runs at its final
/// mapping; to call it again does nothing.
///
/// The platform is that of ax-hal with the feature `axhal`, and [`host`](axebpf_platform::host) under an operating system, which has
/// std. Any other hypervisor calls [`axebpf_hit::install`] first; without, tracepoints can be listed but not enabled.
///
/// # Errors
///
/// `Error::Tracepoint` when the tracepoints of the image are inconsistent, and [`Error::Hit`] when the platform cannot be
/// installed.
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

#[cfg(all(target_os = "none", feature = "axhal"))]
fn install_default() -> Result<(), Error> {
    Ok(axebpf_hit::install(&axebpf_platform::axhal::AXHAL)?)
}

#[cfg(all(target_os = "none", not(feature = "axhal")))]
fn install_default() -> Result<(), Error> {
    Ok(())
}
