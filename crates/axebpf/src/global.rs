//! What there is once in an image.

use crate::Error;

/// Prepares the tracepoints of the image; with the feature `axhal`, installs the platform of ax-hal as well.
///
/// For a hypervisor that only switches tracepoints, through
/// [`TracepointManager::global`](crate::tracepoint::TracepointManager::global). [`Axebpf::new`](crate::Axebpf::new) calls it too. Call it
/// after the image runs at its final mapping; to call it again does nothing. As long as no platform is installed
/// ([`axebpf_hit::install`]), tracepoints can be listed and switched, and each hit is counted as missed.
///
/// # Errors
///
/// [`Error::Tracepoint`] when the tracepoints of the image are inconsistent, and [`Error::Hit`] when another platform than
/// that of ax-hal is installed.
pub fn init() -> Result<(), Error> {
    #[cfg(all(feature = "axhal", target_os = "none"))]
    if axebpf_hit::platform().is_none() {
        axebpf_hit::install(&axebpf_platform::axhal::AXHAL)?;
    }
    #[cfg(feature = "tracepoint-support")]
    axebpf_tp::init()?;
    Ok(())
}
