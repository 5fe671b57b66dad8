//! The image's lists of events and key sites, as the linker gathered them.
//!
//! The names of both sections are C identifiers, so the linker defines `__start_` and `__stop_`
//! symbols for them without a linker script. An empty piece of each, kept by the flag `R`, makes
//! the symbols exist in every image.

#![allow(unsafe_code)]

use core::arch::global_asm;
use core::ptr::with_exposed_provenance;

use axebpf_platform::HostVirt;

use crate::event::Event;

global_asm!(
    ".pushsection axebpf_events, \"aR\", @progbits",
    ".popsection",
    ".pushsection axebpf_keys, \"aR\", @progbits",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "__start_axebpf_events"]
    safe static EVENTS_START: Relative;
    #[link_name = "__stop_axebpf_events"]
    safe static EVENTS_STOP: Relative;
    #[link_name = "__start_axebpf_keys"]
    safe static KEYS_START: RawKey;
    #[link_name = "__stop_axebpf_keys"]
    safe static KEYS_STOP: RawKey;
}

/// The distance from the word itself to what it names, in bytes.
#[repr(transparent)]
struct Relative(i32);

/// What [`is_listened_to`](crate::site::is_listened_to) leaves for each site.
#[repr(C)]
struct RawKey {
    site: Relative,
    target: Relative,
    event: Relative,
}

/// A place in the text where a tracepoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Where the NOP is.
    pub(crate) at: HostVirt,
    /// Where the branch goes that replaces it.
    pub(crate) target: HostVirt,
    /// The event that it belongs to.
    pub(crate) event: &'static Event,
}

impl Relative {
    /// Returns the address that is meant.
    fn address(&'static self) -> usize {
        (&raw const *self)
            .expose_provenance()
            .wrapping_add_signed(self.0 as isize)
    }
}

/// Lists the events of the image.
pub(crate) fn events() -> impl Iterator<Item = &'static Event> {
    entries(&raw const EVENTS_START, &raw const EVENTS_STOP).map(|entry| {
        let event = with_exposed_provenance::<Event>(entry.address());
        // SAFETY: Only `define_event!` writes to the section, and it names a static of this type.
        unsafe { &*event }
    })
}

/// Lists the key sites of the image.
pub(crate) fn sites() -> impl Iterator<Item = Site> {
    entries(&raw const KEYS_START, &raw const KEYS_STOP).map(|entry| {
        let event = with_exposed_provenance::<()>(entry.event.address());
        // SAFETY: Only `is_listened_to` writes to the section, and it names `Tracepoint::event`, a
        // function of this type.
        let event = unsafe { core::mem::transmute::<*const (), fn() -> &'static Event>(event) };
        Site {
            at: HostVirt::new(entry.site.address() as u64),
            target: HostVirt::new(entry.target.address() as u64),
            event: event(),
        }
    })
}

/// Visits what lies between the two symbols.
fn entries<T: 'static>(start: *const T, stop: *const T) -> impl Iterator<Item = &'static T> {
    let count = (stop.addr() - start.addr()) / size_of::<T>();
    (0..count).map(move |index| {
        let entry = start.wrapping_add(index);
        // SAFETY: The linker puts the pieces of the section, each a whole number of entries with no
        // more than the entry's own alignment, one after the other between the two symbols. Nobody
        // writes to them.
        unsafe { &*entry }
    })
}
