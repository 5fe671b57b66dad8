//! The events of the image, by name and by number.

use alloc::vec::Vec;

use axebpf_symbols::Glob;
use spin::Once;

use crate::error::TpError;
use crate::event::Event;
use crate::section::{self, Site};

static REGISTRY: Once<Registry> = Once::new();

/// What [`init`] found.
struct Registry {
    /// Sorted by name; the number of an event is its place, counted from 1.
    events: Vec<&'static Event>,
    /// Sorted by event.
    sites: Vec<Site>,
}

/// Finds the events and the key sites of the image, and gives each event its number.
///
/// Call it once the image runs at its final mapping, before anything else here; later calls change
/// nothing.
///
/// # Errors
///
/// [`TpError::DuplicateEvent`] when two definitions have the same name, and
/// [`TpError::TooManyEvents`] when there are more than 65,535.
pub fn init() -> Result<(), TpError> {
    REGISTRY.try_call_once(gather).map(|_| ())
}

fn gather() -> Result<Registry, TpError> {
    let mut events: Vec<_> = section::events().collect();
    #[cfg(feature = "ktracepoint")]
    events.extend(crate::ktracepoint::close()?);
    events.sort_unstable_by_key(|event| event.full_name());
    for pair in events.windows(2) {
        if pair[0].full_name() == pair[1].full_name() {
            return Err(TpError::DuplicateEvent {
                name: pair[0].full_name(),
            });
        }
    }
    for (index, event) in events.iter().enumerate() {
        let id = u16::try_from(index + 1).map_err(|_| TpError::TooManyEvents {
            count: events.len(),
        })?;
        event.set_id(id);
    }
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    crate::static_key::init();
    let mut sites: Vec<_> = section::sites().collect();
    sites.sort_unstable_by_key(|site| event_key(site.event));
    Ok(Registry { events, sites })
}

/// Orders events by where they are.
fn event_key(event: &'static Event) -> usize {
    (&raw const *event).addr()
}

/// Lists all events, sorted by name. Empty before [`init`].
pub fn events() -> impl Iterator<Item = &'static Event> + Clone {
    REGISTRY
        .get()
        .map_or(&[][..], |registry| &registry.events)
        .iter()
        .copied()
}

/// Finds the event of this full name, such as `vmm:vm_create`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Event> {
    let events = &REGISTRY.get()?.events;
    let index = events
        .binary_search_by_key(&name, |event| event.full_name())
        .ok()?;
    events.get(index).copied()
}

/// Finds the event whose records carry this `common_type`.
#[must_use]
pub fn find_by_id(id: u16) -> Option<&'static Event> {
    let index = usize::from(id).checked_sub(1)?;
    REGISTRY.get()?.events.get(index).copied()
}

/// Lists the events whose full name matches, sorted by name.
pub fn matching(glob: &Glob) -> impl Iterator<Item = &'static Event> {
    events().filter(|event| glob.matches(event.full_name()))
}

/// Tells whether [`init`] has run.
pub(crate) fn is_initialised() -> bool {
    REGISTRY.get().is_some()
}

/// Lists the key sites of `event`.
pub(crate) fn sites_of(event: &'static Event) -> &'static [Site] {
    let sites = REGISTRY.get().map_or(&[][..], |registry| &registry.sites);
    let key = event_key(event);
    let start = sites.partition_point(|site| event_key(site.event) < key);
    let end = sites.partition_point(|site| event_key(site.event) <= key);
    &sites[start..end]
}
