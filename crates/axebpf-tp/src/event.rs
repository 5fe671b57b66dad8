//! One event: what it is called, what it carries, who listens.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use axebpf_hit::Snapshot;
use axebpf_platform::HostVirt;
use spin::Once;

use crate::dispatch::Subscribers;
use crate::duration::{self, Duration};
use crate::field::Field;
use crate::layout::record_len;
use crate::registry::sites_of;
use crate::stats::{EventStats, Stats};

/// An event that the hypervisor reports when it passes one of its tracepoints.
///
/// Made by [`define_event!`](crate::define_event); there is exactly one for each definition.
#[repr(C)]
pub struct Event {
    /// First, so that the event's symbol is the key's, too.
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    sites: static_keys::StaticTrueKey,
    spec: EventSpec,
    id: AtomicU16,
    /// Whether the key sites branch; on architectures without patching they read this.
    live: AtomicBool,
    missed: AtomicU64,
    pub(crate) subscribers: Snapshot<Subscribers>,
    pub(crate) stats: Once<EventStats>,
    #[cfg(feature = "ktracepoint")]
    pub(crate) switch: Once<&'static dyn crate::key::Switch>,
}

/// What a definition says about its event.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct EventSpec {
    pub system: &'static str,
    pub name: &'static str,
    pub full_name: &'static str,
    pub help: &'static str,
    pub fields: &'static [Field],
    pub duration: Duration,
}

impl Event {
    /// Makes the event of a definition.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(spec: EventSpec) -> Self {
        duration::check(spec.duration, spec.fields);
        Self {
            #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
            sites: static_keys::new_static_true_key(),
            spec,
            id: AtomicU16::new(0),
            live: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            subscribers: Snapshot::empty(),
            stats: Once::new(),
            #[cfg(feature = "ktracepoint")]
            switch: Once::new(),
        }
    }

    /// Returns the group, such as `vmm`.
    #[must_use]
    pub const fn system(&self) -> &'static str {
        self.spec.system
    }

    /// Returns the name within the group, such as `vcpu_run_exit`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Returns the name with its group, such as `vmm:vcpu_run_exit`.
    #[must_use]
    pub const fn full_name(&self) -> &'static str {
        self.spec.full_name
    }

    /// Returns what the event means: its doc comment, lines separated by newlines.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.spec.help
    }

    /// Returns the number that records carry as `common_type`: from 1 on, or 0 before
    /// [`init`](crate::init).
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id.load(Ordering::Relaxed)
    }

    /// Returns the fields in the order of the record.
    #[must_use]
    pub const fn fields(&self) -> &'static [Field] {
        self.spec.fields
    }

    /// Returns the field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.spec.fields.iter().find(|field| field.name() == name)
    }

    /// Returns the length of a record in bytes, header and padding included; a multiple of eight.
    #[must_use]
    pub const fn record_len(&self) -> usize {
        record_len(self.spec.fields)
    }

    /// Returns what the event's duration is, if it has one.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.spec.duration
    }

    /// Lists where in the text its tracepoints are: an instruction each, which is rewritten when somebody begins or
    /// ceases to listen, so that nobody else may.
    ///
    /// Nothing before [`init`](crate::init), and where tracepoints are not patched: on other architectures than
    /// aarch64.
    pub fn places(&'static self) -> impl Iterator<Item = HostVirt> {
        sites_of(self).iter().map(|site| site.at)
    }

    /// Tells whether somebody listens, so that the tracepoints take their branch.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Counts the firings that nobody could be told of: they happened inside another hit, or before
    /// `axebpf_hit::install`.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Returns the statistics gathered while the event was enabled through
    /// [`TracepointManager`](crate::TracepointManager), summed over the CPUs.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
            .get()
            .map_or_else(Stats::default, EventStats::sum)
    }

    /// Sets the statistics and the count of missed firings back to zero.
    pub fn reset_stats(&self) {
        self.missed.store(0, Ordering::Relaxed);
        if let Some(stats) = self.stats.get() {
            stats.reset();
        }
    }

    /// Returns the key that the event's sites belong to.
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn sites(&self) -> &static_keys::StaticTrueKey {
        &self.sites
    }

    /// Tells the macros of `static-keys`, to which the event is a key, how its sites start.
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    pub const fn initial_enabled(&self) -> bool {
        true
    }

    pub(crate) fn set_id(&self, id: u16) {
        self.id.store(id, Ordering::Relaxed);
    }

    pub(crate) fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
    }

    pub(crate) fn count_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells whether two references name the same definition.
    #[must_use]
    pub fn is(&self, other: &Event) -> bool {
        core::ptr::eq(self, other)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.full_name())
            .field("id", &self.id())
            .field("enabled", &self.enabled())
            .finish_non_exhaustive()
    }
}
