//! Listing tracepoints, and turning them on and off by name.

use alloc::string::String;
use alloc::vec::Vec;

use axebpf_symbols::Glob;
use spin::mutex::SpinMutex;

use crate::collector::{Collection, Recording};
use crate::error::TpError;
use crate::event::Event;
use crate::filter::Filter;
use crate::lock::lock;
use crate::{registry, similar, subscribe};

/// Turns tracepoints on and off by name, for a hypervisor that wants no program.
///
/// An enabled event is counted, its durations are measured ([`Event::stats`]), and it is recorded
/// into the event buffer ([`RECORDER`](crate::RECORDER)). What programs and other subscribers
/// listen to is independent of it: an event goes back to its NOP when nobody wants it any more.
///
/// # Examples
///
/// ```
/// use axebpf_tp::TracepointManager;
///
/// axebpf_hit::install(&axebpf_platform::mock::MOCK)?;
/// let manager = TracepointManager::global();
/// manager.enable("vmm:vm_create")?;
/// let on: Vec<_> = manager.list_tracepoints().into_iter().filter(|info| info.enabled).collect();
/// assert_eq!(on[0].name, "vmm:vm_create");
/// manager.disable("vmm:*")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TracepointManager {
    collections: SpinMutex<Vec<Collection>>,
}

static GLOBAL: TracepointManager = TracepointManager {
    collections: SpinMutex::new(Vec::new()),
};

/// How an event is to be enabled.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnableOptions<'a> {
    /// Which firings count; all, when there is no filter.
    pub filter: Option<&'a str>,
    /// Whether they are recorded.
    pub recording: Recording,
}

/// One tracepoint, as listed.
#[derive(Clone, Debug)]
pub struct TracepointInfo {
    /// The full name, such as `vmm:vm_create`.
    pub name: String,
    /// Whether somebody listens to it.
    pub enabled: bool,
    /// The filter with which the manager has enabled it.
    pub filter: Option<String>,
    /// Whether the manager has it recorded; `None` while the manager has not enabled it.
    pub recording: Option<Recording>,
    /// How many listen to it, the manager included.
    pub subscribers: usize,
    /// How many firings were missed because they happened inside another hit.
    pub missed: u64,
    /// The event.
    pub event: &'static Event,
}

impl TracepointManager {
    /// Returns the manager of the image. Runs [`init`](crate::init) if nobody has.
    #[must_use]
    pub fn global() -> &'static Self {
        // Where it fails, there are no tracepoints, and each use says why.
        let _ = registry::init();
        &GLOBAL
    }

    /// Lists all tracepoints, sorted by name.
    #[must_use]
    pub fn list_tracepoints(&self) -> Vec<TracepointInfo> {
        registry::events().map(|event| self.info(event)).collect()
    }

    /// Lists the tracepoints whose names match, sorted by name.
    ///
    /// # Errors
    ///
    /// [`TpError::BadGlob`], [`TpError::UnknownEvent`] and [`TpError::NoMatch`].
    pub fn matching(&self, pattern: &str) -> Result<Vec<TracepointInfo>, TpError> {
        Ok(select(pattern)?
            .into_iter()
            .map(|event| self.info(event))
            .collect())
    }

    fn info(&self, event: &'static Event) -> TracepointInfo {
        let subscribers = subscribe::listeners(event);
        let own = lock(&self.collections).ok().and_then(|collections| {
            let own = collections
                .iter()
                .find(|collection| collection.event().is(event))?;
            let filter = own
                .filter
                .as_ref()
                .map(|filter| String::from(filter.as_str()));
            Some((own.recording, filter))
        });
        let (recording, filter) = own.unzip();
        TracepointInfo {
            name: String::from(event.full_name()),
            enabled: subscribers > 0,
            filter: filter.flatten(),
            recording,
            subscribers,
            missed: event.missed(),
            event,
        }
    }

    /// Enables the tracepoints of this name or glob, unfiltered and recorded, and returns them.
    ///
    /// # Errors
    ///
    /// Those of [`enable_with`](Self::enable_with).
    pub fn enable(&self, pattern: &str) -> Result<Vec<&'static Event>, TpError> {
        self.enable_with(pattern, EnableOptions::default())
    }

    /// Enables the tracepoints of this name or glob, and returns them.
    ///
    /// For those that are enabled already, the new options replace the old ones. Either all of them
    /// are enabled or nothing changes. Statistics go on from where they were.
    ///
    /// # Errors
    ///
    /// [`TpError::UnknownEvent`] or [`TpError::NoMatch`] with names that may have been meant,
    /// [`TpError::BadGlob`], [`TpError::BadFilter`] for the first event that the filter does not
    /// fit, [`TpError::OutOfMemory`], and what patching the tracepoints can meet.
    pub fn enable_with(
        &self,
        pattern: &str,
        options: EnableOptions<'_>,
    ) -> Result<Vec<&'static Event>, TpError> {
        let events = select(pattern)?;
        let compile = |event: &&'static Event| compile(options.filter, event);
        let filters = events.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let mut collections = lock(&self.collections)?;
        let known = |event: &'static Event| {
            collections
                .iter()
                .position(|collection| collection.event().is(event))
        };
        let mut added = Vec::new();
        let mut replaced = Vec::new();
        for (event, filter) in events.iter().zip(filters) {
            match known(event) {
                Some(index) => replaced.push((index, filter)),
                // Those that were added before it are dropped, and so disabled, when one fails.
                None => added.push(Collection::start(event, filter, options.recording)?),
            }
        }
        for (index, filter) in replaced {
            let event = collections[index].event();
            let new = Collection::start(event, filter, options.recording)?;
            core::mem::replace(&mut collections[index], new).stop()?;
        }
        collections.extend(added);
        Ok(events)
    }

    /// Disables the tracepoints of this name or glob, and returns those that were enabled.
    ///
    /// What others subscribed to stays on for them. Statistics and what was recorded stay readable.
    ///
    /// # Errors
    ///
    /// [`TpError::UnknownEvent`] or [`TpError::NoMatch`] with names that may have been meant,
    /// [`TpError::BadGlob`], and what patching the tracepoints can meet; they no longer reach
    /// anybody then, but cost more than a NOP.
    pub fn disable(&self, pattern: &str) -> Result<Vec<&'static Event>, TpError> {
        let events = select(pattern)?;
        let mut collections = lock(&self.collections)?;
        let mut disabled = Vec::new();
        let mut result = Ok(());
        for event in events {
            let own = collections
                .iter()
                .position(|collection| collection.event().is(event));
            if let Some(index) = own {
                result = result.and(collections.swap_remove(index).stop());
                disabled.push(event);
            }
        }
        result.map(|()| disabled)
    }
}

/// Compiles the filter, if there is one, for one of the events.
fn compile(filter: Option<&str>, event: &'static Event) -> Result<Option<Filter>, TpError> {
    let compiled = filter.map(|text| Filter::compile(text, event)).transpose();
    compiled.map_err(|cause| TpError::BadFilter {
        event: event.full_name(),
        cause,
    })
}

/// Finds the events of a name or glob; at least one.
fn select(pattern: &str) -> Result<Vec<&'static Event>, TpError> {
    if !registry::is_initialised() {
        registry::init()?;
    }
    if let Some(event) = registry::find(pattern) {
        return Ok(Vec::from([event]));
    }
    let glob = Glob::new(pattern).map_err(|cause| TpError::BadGlob {
        glob: String::from(pattern),
        cause,
    })?;
    let events: Vec<_> = registry::matching(&glob).collect();
    if !events.is_empty() {
        return Ok(events);
    }
    let similar = similar::names(pattern, registry::events().map(Event::full_name));
    match glob.literal() {
        Some(name) => Err(TpError::UnknownEvent { name, similar }),
        None => Err(TpError::NoMatch {
            glob: String::from(pattern),
            similar,
        }),
    }
}
