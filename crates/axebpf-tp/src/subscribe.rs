//! Listening to an event.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use axebpf_hit::HitError;
use spin::mutex::SpinMutex;

use crate::dispatch::{Role, Subscriber, Subscribers, TraceHandler};
use crate::error::TpError;
use crate::event::Event;
use crate::filter::Filter;
use crate::key::{self, Key};
use crate::lock::lock;
use crate::registry;

/// The management lock: who listens to what. Never taken in a hit.
///
/// The lists repeat what the snapshots hold, which only hits can load.
static LISTENERS: SpinMutex<Vec<Listeners>> = SpinMutex::new(Vec::new());

/// Who listens to one event.
struct Listeners {
    event: &'static Event,
    subscribers: Vec<Arc<Subscriber>>,
}

/// A standing wish to be told of an event. Cancelled when dropped.
///
/// Made by [`subscribe`].
#[must_use = "dropping it cancels it"]
pub struct Subscription {
    event: &'static Event,
    subscriber: Option<Arc<Subscriber>>,
}

/// Calls `handler` at each firing of `event` that passes the filter, until the subscription is
/// cancelled.
///
/// An event can have any number of subscribers; they are called in the order in which they
/// subscribed. The first one makes the event's tracepoints branch.
///
/// # Errors
///
/// [`TpError::ForeignFilter`] when the filter was compiled for another event,
/// [`TpError::NotInitialised`] and [`TpError::NotInstalled`] before the start-up calls,
/// [`TpError::InHit`], and what patching the tracepoints can meet.
pub fn subscribe(
    event: &'static Event,
    handler: Arc<dyn TraceHandler>,
    filter: Option<Filter>,
) -> Result<Subscription, TpError> {
    add(
        event,
        Subscriber {
            handler,
            filter,
            role: Role::Listener,
        },
    )
}

/// Adds a subscriber to the event's list.
pub(crate) fn add(event: &'static Event, subscriber: Subscriber) -> Result<Subscription, TpError> {
    if let Some(filter) = &subscriber.filter
        && !filter.event().is(event)
    {
        let (event, filter) = (event.full_name(), filter.event().full_name());
        return Err(TpError::ForeignFilter { event, filter });
    }
    if !registry::is_initialised() {
        return Err(TpError::NotInitialised);
    }
    if axebpf_hit::platform().is_none() {
        return Err(TpError::NotInstalled);
    }
    // Made before the lock is taken, so that it is dropped after it: its handler may be a user of
    // this module, too.
    let subscriber = Arc::new(subscriber);
    let mut all = lock(&LISTENERS)?;
    let list = list_of(&mut all, event);
    list.push(subscriber.clone());
    // Where a CPU does not leave its hit, the list from before is kept, which does no harm here.
    let _ = publish(event, list);
    if !event.enabled()
        && let Err(error) = key::set(event, Key::On)
    {
        list.pop();
        let _ = publish(event, list);
        return Err(error);
    }
    Ok(Subscription {
        event,
        subscriber: Some(subscriber),
    })
}

impl Subscription {
    /// Returns the event.
    #[must_use]
    pub fn event(&self) -> &'static Event {
        self.event
    }

    /// Ends the subscription. When it returns, no CPU runs the handler for it any more.
    ///
    /// The last subscriber to leave turns the event's tracepoints back into NOPs.
    ///
    /// # Errors
    ///
    /// [`TpError::InHit`] inside a hit: the subscription then stays for good. When the tracepoints
    /// cannot be patched back, the error says so, but the handler has been taken out. So it has
    /// with [`TpError::Hit`], but a CPU that does not leave its hit may be running it still.
    pub fn cancel(mut self) -> Result<(), TpError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), TpError> {
        let Some(subscriber) = self.subscriber.take() else {
            return Ok(());
        };
        let mut all = lock(&LISTENERS)?;
        let list = list_of(&mut all, self.event);
        list.retain(|other| !Arc::ptr_eq(other, &subscriber));
        let patched = if list.is_empty() {
            key::set(self.event, Key::Off)
        } else {
            Ok(())
        };
        let ended = publish(self.event, list);
        patched?;
        Ok(ended?)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("event", &self.event.full_name())
            .finish()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Who wants to know how it went calls `cancel`.
        let _ = self.end();
    }
}

/// Counts the subscribers of `event` that want the event itself.
pub(crate) fn listeners(event: &'static Event) -> usize {
    lock(&LISTENERS).map_or(0, |mut all| {
        let list = list_of(&mut all, event);
        list.iter()
            .filter(|subscriber| subscriber.role == Role::Listener)
            .count()
    })
}

/// Makes the list what hits see, and waits until none sees the old one.
///
/// # Errors
///
/// When a CPU does not leave its hit; the old list, and the handlers in it, are then kept for good.
fn publish(event: &'static Event, list: &[Arc<Subscriber>]) -> Result<(), HitError> {
    let next = (!list.is_empty()).then(|| Box::new(Subscribers(list.to_vec())));
    event.subscribers.publish(next).reclaim().map(drop)
}

/// Returns the list of the event.
fn list_of<'a>(all: &'a mut Vec<Listeners>, event: &'static Event) -> &'a mut Vec<Arc<Subscriber>> {
    let index = all
        .iter()
        .position(|listeners| listeners.event.is(event))
        .unwrap_or_else(|| {
            all.push(Listeners {
                event,
                subscribers: Vec::new(),
            });
            all.len() - 1
        });
    &mut all[index].subscribers
}
