//! What an enabled event does without any program: statistics and recording.

use alloc::sync::Arc;

use crate::dispatch::{Role, Subscriber, TraceHandler, TraceHit};
use crate::duration::Duration;
use crate::error::TpError;
use crate::event::Event;
use crate::field::{Field, FieldValue};
use crate::filter::Filter;
use crate::interval::{StartNote, Starts};
use crate::recorder::RECORDER;
use crate::stats::EventStats;
use crate::subscribe::{self, Subscription};

/// Tells whether an enabled event is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Its firings go into the event buffer.
    #[default]
    On,
    /// It has statistics only.
    Off,
}

/// Gathers statistics of an event, and records it.
struct Collector {
    stats: &'static EventStats,
    duration: Source,
    recording: Recording,
}

/// Where the duration comes from.
enum Source {
    None,
    Field(&'static Field),
    Since {
        start: &'static Event,
        starts: Arc<Starts>,
    },
}

impl TraceHandler for Collector {
    fn hit(&self, hit: &TraceHit<'_>) {
        let duration = match &self.duration {
            Source::None => None,
            Source::Field(field) => field.value(hit.record).and_then(nanoseconds),
            Source::Since { starts, .. } => starts.end(hit),
        };
        self.stats.record(hit.guard, hit.time_ns, duration);
        if self.recording == Recording::On {
            RECORDER.record(hit);
        }
    }
}

/// Takes a field's value as a duration.
fn nanoseconds(value: FieldValue<'_>) -> Option<u64> {
    match value {
        FieldValue::Unsigned(value) => Some(value),
        FieldValue::Signed(value) => u64::try_from(value).ok(),
        FieldValue::Bool(_) | FieldValue::Text(_) => None,
    }
}

/// The subscriptions that gather the statistics of one event.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) filter: Option<Filter>,
    pub(crate) recording: Recording,
    end: Subscription,
    start: Option<Subscription>,
}

impl Collection {
    /// Starts gathering.
    pub(crate) fn start(
        event: &'static Event,
        filter: Option<Filter>,
        recording: Recording,
    ) -> Result<Self, TpError> {
        let cpus = axebpf_hit::platform()
            .ok_or(TpError::NotInstalled)?
            .cpu_limit();
        if recording == Recording::On {
            RECORDER.prepare()?;
        }
        let stats = event.stats.try_call_once(|| EventStats::new(cpus))?;
        let duration = Source::of(event, cpus)?;
        let note = duration.start_note();
        let collector = Collector {
            stats,
            duration,
            recording,
        };
        // The end comes first: where an event ends one interval and starts the next, it must.
        let collector = Subscriber {
            handler: Arc::new(collector),
            filter: filter.clone(),
            role: Role::Listener,
        };
        let end = subscribe::add(event, collector)?;
        let start = note.map(StartNote::subscribe).transpose()?;
        Ok(Self {
            filter,
            recording,
            end,
            start,
        })
    }

    /// Returns the event.
    pub(crate) fn event(&self) -> &'static Event {
        self.end.event()
    }

    /// Stops gathering.
    pub(crate) fn stop(self) -> Result<(), TpError> {
        let end = self.end.cancel();
        let start = self.start.map_or(Ok(()), Subscription::cancel);
        end.and(start)
    }
}

impl Source {
    /// Finds out where the duration of the event comes from.
    fn of(event: &'static Event, cpus: u32) -> Result<Self, TpError> {
        match event.duration() {
            Duration::None => Ok(Self::None),
            Duration::Field(name) => Ok(event.field(name).map_or(Self::None, Self::Field)),
            Duration::Since { start, pairing } => {
                let starts = Arc::new(Starts::new(start, event, pairing, cpus)?);
                Ok(Self::Since { start, starts })
            }
        }
    }

    /// Returns what has to be told of the starts of the intervals.
    fn start_note(&self) -> Option<StartNote> {
        match self {
            Self::Since { start, starts } => Some(StartNote::new(start, starts.clone())),
            Self::None | Self::Field(_) => None,
        }
    }
}
