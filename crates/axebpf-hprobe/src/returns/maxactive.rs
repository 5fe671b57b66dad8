//! How many calls of a link may be in flight.

use super::atomic::{AtomicU32, Ordering};

/// Counts the calls of one link that are in flight, up to a limit.
///
/// A call is counted from [`start`](Self::start) to [`finish`](Self::finish). The instance in the
/// [`ReturnTable`](super::ReturnTable) stands for the count: whoever takes the instance out finishes the call, which
/// therefore happens exactly once, at the return or when its stack is forgotten.
#[derive(Debug)]
pub struct MaxActive {
    limit: u32,
    active: AtomicU32,
}

impl MaxActive {
    /// Allows `limit` calls at a time.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            active: AtomicU32::new(0),
        }
    }

    /// Counts a call, and tells whether it was below the limit. If not, the call is one to be missed.
    #[must_use]
    pub fn start(&self) -> bool {
        let below = |active| (active < self.limit).then(|| active + 1);
        // No memory is handed over by the counter, so there is nothing to order.
        self.active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .is_ok()
    }

    /// Takes back the count of a call that was started.
    ///
    /// Does nothing when none is counted.
    pub fn finish(&self) {
        let less = |active: u32| active.checked_sub(1);
        let _none_was_counted =
            self.active
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Returns how many calls are in flight.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Returns how many calls may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }
}
