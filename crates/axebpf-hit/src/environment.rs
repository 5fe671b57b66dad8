//! The one hit environment of the image, and the platform below it.

use axebpf_platform::{CpuId, Platform};
use spin::Once;

use crate::{HitError, MAX_CPUS, text};

/// There is one for each image: probe points are code, and code is global.
static PLATFORM: Once<&'static dyn Platform> = Once::new();

/// Installs the platform of the image, before anything can fire.
///
/// Hands [`text::answer`] to the platform as its kick handler. To install the same platform again does nothing.
///
/// # Errors
///
/// [`HitError::OtherPlatform`] when a different one is installed, and [`HitError::TooManyCpus`] when it has more than
/// [`MAX_CPUS`].
pub fn install(platform: &'static dyn Platform) -> Result<(), HitError> {
    let limit = platform.cpu_limit();
    if usize::try_from(limit).is_ok_and(|limit| limit > MAX_CPUS) {
        return Err(HitError::TooManyCpus { limit });
    }
    let installed = *PLATFORM.call_once(|| platform);
    if !is_same(installed, platform) {
        return Err(HitError::OtherPlatform);
    }
    platform.set_kick_handler(text::answer);
    Ok(())
}

/// Returns the platform of the image, if one is installed.
#[must_use]
pub fn platform() -> Option<&'static dyn Platform> {
    PLATFORM.get().copied()
}

/// Names the executing CPU. The caller has masked interrupts.
pub(crate) fn current_cpu(platform: &dyn Platform) -> Result<CpuId, CpuId> {
    let cpu = platform.current_cpu();
    if cpu.index() < MAX_CPUS {
        Ok(cpu)
    } else {
        Err(cpu)
    }
}

/// Tells whether both are one: of one type, and, unless that type has no state, in one place.
fn is_same(left: &dyn Platform, right: &dyn Platform) -> bool {
    left.platform_type() == right.platform_type()
        && (size_of_val(left) == 0 || core::ptr::addr_eq(left, right))
}
