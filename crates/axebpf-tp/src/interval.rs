//! Pairing the start of an interval with its end.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::Padded;

use crate::dispatch::{Role, Subscriber, TraceHandler, TraceHit};
use crate::duration::Pairing;
use crate::error::TpError;
use crate::event::Event;
use crate::field::{Field, read_unsigned};
use crate::subscribe::{self, Subscription};

/// Marks a slot that holds no key, and a start that has found its end.
const NONE: u64 = u64::MAX;

/// How many different keys can be under way at a time.
const SLOTS: usize = 256;

/// Remembers when intervals started.
#[derive(Debug)]
pub(crate) enum Starts {
    /// One for each CPU.
    Cpus(Box<[Padded<AtomicU64>]>),
    /// One for each combination of values in these fields.
    Keys {
        slots: Box<[Slot]>,
        /// Where the key is in the record of the start, and in that of the end.
        start: Vec<&'static Field>,
        end: Vec<&'static Field>,
    },
}

#[derive(Debug)]
pub(crate) struct Slot {
    key: AtomicU64,
    time_ns: AtomicU64,
}

impl Starts {
    /// Makes room for the intervals from `start` to `end`.
    pub(crate) fn new(
        start: &'static Event,
        end: &'static Event,
        pairing: Pairing,
        cpus: u32,
    ) -> Result<Self, TpError> {
        match pairing {
            Pairing::Cpu => Ok(Self::Cpus(filled(cpus as usize, || {
                Padded::new(AtomicU64::new(NONE))
            })?)),
            Pairing::Fields(names) => Ok(Self::Keys {
                slots: filled(SLOTS, || Slot {
                    key: AtomicU64::new(NONE),
                    time_ns: AtomicU64::new(NONE),
                })?,
                start: key_fields(start, end, start, names)?,
                end: key_fields(start, end, end, names)?,
            }),
        }
    }

    fn begin(&self, hit: &TraceHit<'_>) {
        let cell = match self {
            Self::Cpus(cpus) => cpus.get(hit.guard.cpu().index()).map(|cell| &**cell),
            Self::Keys { slots, start, .. } => cell_of(slots, key_of(start, hit.record)),
        };
        if let Some(cell) = cell {
            cell.store(hit.time_ns, Ordering::Relaxed);
        }
    }

    /// Returns how long the interval was that ends here, in nanoseconds, if its start was seen.
    pub(crate) fn end(&self, hit: &TraceHit<'_>) -> Option<u64> {
        let cell = match self {
            Self::Cpus(cpus) => cpus.get(hit.guard.cpu().index()).map(|cell| &**cell),
            Self::Keys { slots, end, .. } => cell_of(slots, key_of(end, hit.record)),
        };
        match cell?.swap(NONE, Ordering::Relaxed) {
            NONE => None,
            started => hit.time_ns.checked_sub(started),
        }
    }
}

/// Notes the starts, as a subscriber of the event that starts the intervals.
pub(crate) struct StartNote {
    event: &'static Event,
    starts: Arc<Starts>,
}

impl StartNote {
    pub(crate) fn new(event: &'static Event, starts: Arc<Starts>) -> Self {
        Self { event, starts }
    }

    /// Listens to the starts.
    pub(crate) fn subscribe(self) -> Result<Subscription, TpError> {
        let event = self.event;
        let handler = Arc::new(self);
        subscribe::add(
            event,
            Subscriber {
                handler,
                filter: None,
                role: Role::IntervalStart,
            },
        )
    }
}

impl TraceHandler for StartNote {
    fn hit(&self, hit: &TraceHit<'_>) {
        self.starts.begin(hit);
    }
}

/// Makes a box of so many values.
fn filled<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, TpError> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(count)
        .map_err(|_| TpError::OutOfMemory {
            bytes: count * size_of::<T>(),
        })?;
    values.resize_with(count, make);
    Ok(values.into_boxed_slice())
}

/// Finds the fields of the key in one of the two events.
fn key_fields(
    start: &'static Event,
    end: &'static Event,
    of: &'static Event,
    names: &[&'static str],
) -> Result<Vec<&'static Field>, TpError> {
    let fit = |name: &&'static str| {
        let field = of.field(name).filter(|field| field.size() <= 4);
        field.ok_or(TpError::BadPairing {
            event: end.full_name(),
            start: start.full_name(),
            field: name,
        })
    };
    names.iter().map(fit).collect()
}

/// Packs the key's fields into one number.
fn key_of(fields: &[&'static Field], record: &[u8]) -> u64 {
    fields.iter().fold(0, |key, field| {
        key << 32 | field.bytes(record).map_or(0, read_unsigned)
    })
}

/// Finds the cell of a key, or gives it one; `None` when there is none left.
fn cell_of(slots: &[Slot], key: u64) -> Option<&AtomicU64> {
    if key == NONE {
        return None;
    }
    let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    (0..slots.len())
        .map(|step| &slots[(first + step) % slots.len()])
        .find_map(|slot| {
            let taken = slot
                .key
                .compare_exchange(NONE, key, Ordering::Relaxed, Ordering::Relaxed);
            (taken.is_ok() || taken == Err(key)).then_some(&slot.time_ns)
        })
}
