//! From a tracepoint to its subscribers.

use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_hit::HitGuard;

use crate::event::Event;
use crate::field::{HEADER_LEN, MAX_RECORD_LEN};
use crate::field_type::TraceField;
use crate::filter::Filter;
use crate::site::Site;

/// Is told of the firings of an event.
///
/// Called in the hit: must not allocate, lock what others hold, log, or take long. A tracepoint
/// that it passes is counted as missed.
pub trait TraceHandler: Send + Sync {
    /// Handles one firing.
    fn hit(&self, hit: &TraceHit<'_>);
}

/// One firing of an event.
#[derive(Clone, Copy, Debug)]
pub struct TraceHit<'a> {
    /// Proof of being in the hit; knows the CPU and the platform.
    pub guard: &'a HitGuard,
    /// The event that fired.
    pub event: &'static Event,
    /// Linux's 8-byte common header and the fields, laid out as [`Event::format`] says; 8-byte
    /// aligned, and a multiple of eight bytes long.
    pub record: &'a [u8],
    /// When it fired, in nanoseconds since the machine started.
    pub time_ns: u64,
    /// Where the tracepoint is that fired; `None` when that is not known.
    pub site: Option<Site>,
}

/// Who listens to an event.
#[derive(Default)]
pub(crate) struct Subscribers(pub(crate) Vec<Arc<Subscriber>>);

/// One who listens to an event.
pub(crate) struct Subscriber {
    pub(crate) handler: Arc<dyn TraceHandler>,
    pub(crate) filter: Option<Filter>,
    pub(crate) role: Role,
}

/// What a subscriber is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Somebody wants the event.
    Listener,
    /// The event starts the interval that another one ends.
    IntervalStart,
}

/// A record under construction.
#[doc(hidden)]
#[derive(Debug)]
#[repr(align(8))]
pub struct RecordBuffer<const LEN: usize> {
    bytes: [u8; LEN],
}

impl<const LEN: usize> Default for RecordBuffer<LEN> {
    fn default() -> Self {
        const { assert!(LEN >= HEADER_LEN && LEN <= MAX_RECORD_LEN) };
        Self { bytes: [0; LEN] }
    }
}

impl<const LEN: usize> RecordBuffer<LEN> {
    /// Stores a field at its offset.
    #[inline]
    pub fn put<T: TraceField>(&mut self, offset: usize, arg: T::Arg<'_>) {
        if let Some(to) = self
            .bytes
            .get_mut(offset..)
            .and_then(|to| to.get_mut(..T::TYPE.size()))
        {
            T::store(arg, to);
        }
    }

    /// Tells the subscribers of `event`, whose tracepoint at `site` fired.
    pub fn dispatch(mut self, event: &'static Event, site: Option<Site>) {
        dispatch(event, &mut self.bytes, site);
    }
}

/// Tells the subscribers of `event`, or counts the firing as missed.
pub(crate) fn dispatch(event: &'static Event, record: &mut [u8], site: Option<Site>) {
    let Ok(guard) = axebpf_hit::enter() else {
        event.count_missed();
        return;
    };
    let Some(subscribers) = event.subscribers.load(&guard) else {
        return;
    };
    // The flags, the preemption count and the process number of the header stay what they are:
    // zero, as a hypervisor has none, unless the event was imported from a kernel.
    u16::store(event.id(), &mut record[..2]);
    let hit = TraceHit {
        guard: &guard,
        event,
        record,
        time_ns: guard.platform().now_ns(),
        site,
    };
    for subscriber in &subscribers.0 {
        if subscriber
            .filter
            .as_ref()
            .is_none_or(|filter| filter.eval(hit.record))
        {
            subscriber.handler.hit(&hit);
        }
    }
}
