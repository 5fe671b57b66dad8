//! What one `Axebpf` holds, whatever its platform.

use core::fmt;

use axebpf_platform::Platform;

use crate::Error;

#[cfg(feature = "runtime")]
use crate::{lock::ManagementLock, printk::Printk, state::State};

/// The objects, programs, maps and links of one [`Axebpf`](crate::Axebpf).
///
/// All methods take `&self` and may be called on any CPU. They are management: never in a hit,
/// never with interrupts masked.
pub struct Registry {
    platform: &'static dyn Platform,
    #[cfg(feature = "runtime")]
    pub(crate) printk: alloc::sync::Arc<Printk>,
    #[cfg(feature = "runtime")]
    pub(crate) state: ManagementLock<State>,
}

impl Registry {
    pub(crate) fn new(platform: &'static dyn Platform) -> Result<Self, Error> {
        Ok(Self {
            platform,
            #[cfg(feature = "runtime")]
            printk: alloc::sync::Arc::new(Printk::new(platform.cpu_limit())?),
            #[cfg(feature = "runtime")]
            state: ManagementLock::new(State::default()),
        })
    }

    /// Returns the platform below.
    #[must_use]
    pub fn platform(&self) -> &'static dyn Platform {
        self.platform
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
