//! The numbers by which TLBs tell the memory of VMs apart.

use core::sync::atomic::{AtomicU64, Ordering};

/// How many VMs there can be at once: the numbers have 8 bits (`VTCR_EL2.VS` is 0), and 0 is for no VM.
const LIMIT: u32 = 255;

/// One bit for each number that somebody has.
static TAKEN: [AtomicU64; 4] = [
    AtomicU64::new(1),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
];

/// All numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} VMs, as many as TLBs can tell apart; destroy one")]
pub(crate) struct NoVmid {
    /// How many there are.
    pub(crate) limit: u32,
}

/// The number of one VM, which no other has until this is dropped.
///
/// Whoever drops it has removed it from all TLBs.
#[derive(Debug)]
pub(crate) struct Vmid(u8);

impl Vmid {
    /// Takes a number that nobody has.
    ///
    /// # Errors
    ///
    /// [`NoVmid`] if there is none.
    pub(crate) fn claim() -> Result<Self, NoVmid> {
        for (index, word) in (0..).zip(&TAKEN) {
            // Pairs with the release in `drop`: what was done under a number comes before it is used again.
            let claimed = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |taken| {
                (taken != u64::MAX).then_some(taken | (taken + 1))
            });
            if let Ok(before) = claimed {
                return Ok(Self(index * 64 + before.trailing_ones() as u8));
            }
        }
        Err(NoVmid { limit: LIMIT })
    }

    /// Returns the number, 1 to 255.
    pub(crate) fn get(&self) -> u8 {
        self.0
    }
}

impl Drop for Vmid {
    fn drop(&mut self) {
        TAKEN[usize::from(self.0 / 64)].fetch_and(!(1 << (self.0 % 64)), Ordering::Release);
    }
}
