//! The memory of a guest.

use axebpf_platform::GuestPhys;
use thiserror::Error;

/// Gives access to the memory of one guest. The hypervisor implements it.
pub trait GuestMemory {
    /// Copies `bytes.len()` bytes from the guest-physical address `at`.
    ///
    /// The guest may change them at the same time; each aligned group of 8 bytes must be read at once.
    /// Reads nothing but memory: an address at which the guest has a device is a fault.
    ///
    /// # Errors
    ///
    /// [`GuestMemoryFault`] if there is no memory.
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault>;

    /// Returns the 8 bytes at `at`, a multiple of 8, which [`read_guest`](Self::read_guest) copies, too. Called for
    /// each level of every walk.
    ///
    /// # Errors
    ///
    /// [`GuestMemoryFault`] if there is no memory.
    fn read_descriptor(&self, at: GuestPhys) -> Result<[u8; 8], GuestMemoryFault> {
        let mut bytes = [0; 8];
        self.read_guest(at, &mut bytes).map(|()| bytes)
    }
}

/// A guest-physical address at which there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the guest has no memory at {at}")]
pub struct GuestMemoryFault {
    /// The first address that could not be accessed.
    pub at: GuestPhys,
}
