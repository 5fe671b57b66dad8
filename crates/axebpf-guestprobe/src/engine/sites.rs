//! Return sites that are still to be armed, outside of hits.

use alloc::vec::Vec;

use axebpf_platform::{GuestPhys, GuestVirt};
use spin::Mutex;

use super::calls::try_lock;
use crate::ProbeMode;

/// How many sites can wait. A call whose site finds no room is missed like those before it was armed, and the next
/// one asks again.
const WAITING: usize = 64;

/// A place to which a probed function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) at: GuestVirt,
    pub(super) phys: GuestPhys,
    pub(super) mode: ProbeMode,
}

/// The sites that wait.
pub(super) struct Sites {
    waiting: Mutex<Vec<Site>>,
}

impl Sites {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::with_capacity(WAITING)),
        }
    }

    /// Asks for `site`. Called in hits: neither waits nor allocates.
    pub(super) fn want(&self, site: Site) {
        if let Some(mut waiting) = try_lock(&self.waiting)
            && waiting.len() < WAITING
            && !waiting.contains(&site)
        {
            waiting.push(site);
        }
    }

    /// Tells whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        try_lock(&self.waiting).is_none_or(|waiting| waiting.is_empty())
    }

    /// Takes one out.
    pub(super) fn next(&self) -> Option<Site> {
        // Under a guard, so that nobody who holds the lock is interrupted while hits elsewhere try to get it.
        let _guard = axebpf_hit::enter().ok()?;
        self.waiting.lock().pop()
    }
}
