//! The root object.

use core::{fmt, ops::Deref};

use axebpf_platform::Platform;

use crate::{Error, Registry};

/// The root of axebpf: what a hypervisor makes once, early, and keeps in a `static`.
///
/// Everything that it can do besides naming its platform is in [`Registry`], to which it
/// dereferences.
///
/// To drop it detaches all of its links and unloads all of its objects.
pub struct Axebpf<P: Platform> {
    platform: &'static P,
    registry: Registry,
}

impl<P: Platform> Axebpf<P> {
    /// Installs `platform` for the whole image and makes a registry without objects.
    ///
    /// Several registries may exist at a time, on the same platform. Call it after the image runs
    /// at its final mapping and before anything can fire.
    ///
    /// # Errors
    ///
    /// [`Error::Hit`] when another platform is installed or this one has too many CPUs,
    /// `Error::Tracepoint` when the tracepoints of the image are inconsistent, and
    /// `Error::OutOfMemory` when there is no memory for what programs print.
    pub fn new(platform: &'static P) -> Result<Self, Error> {
        axebpf_hit::install(platform)?;
        crate::init()?;
        let registry = Registry::new(platform)?;
        Ok(Self { platform, registry })
    }

    /// Returns the platform, by its own type.
    #[must_use]
    pub fn platform(&self) -> &'static P {
        self.platform
    }
}

impl<P: Platform> Deref for Axebpf<P> {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}

impl<P: Platform> fmt::Debug for Axebpf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}
