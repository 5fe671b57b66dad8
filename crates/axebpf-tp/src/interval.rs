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

/// How many different keys can be under way at a time, at most.
const SLOTS: usize = 256;

/// In how many slots a key can be. It bounds what a hit does.
const WINDOW: usize = 16;

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
            Self::Keys { slots, start, .. } => {
                claim(slots, key_of(start, hit.record)).map(|slot| &slot.time_ns)
            }
        };
        if let Some(cell) = cell {
            cell.store(hit.time_ns, Ordering::Relaxed);
        }
    }

    /// Returns how long the interval was that ends here, in nanoseconds, if its start was seen.
    pub(crate) fn end(&self, hit: &TraceHit<'_>) -> Option<u64> {
        let started = match self {
            Self::Cpus(cpus) => {
                let cell = cpus.get(hit.guard.cpu().index())?;
                Some(cell.swap(NONE, Ordering::Relaxed)).filter(|&started| started != NONE)
            }
            Self::Keys { slots, end, .. } => release(slots, key_of(end, hit.record)),
        };
        hit.time_ns.checked_sub(started?)
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

/// Returns the slots that a key can be in.
fn window(slots: &[Slot], key: u64) -> impl Iterator<Item = &Slot> {
    let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    (0..WINDOW.min(slots.len())).map(move |step| &slots[(first + step) % slots.len()])
}

/// Finds the slot of a key.
fn find(slots: &[Slot], key: u64) -> Option<&Slot> {
    window(slots, key).find(|slot| slot.key.load(Ordering::Relaxed) == key)
}

/// Gives a key a slot: its own, a free one, or that of the oldest start, whose end may never come (a vCPU that is
/// gone).
fn claim(slots: &[Slot], key: u64) -> Option<&Slot> {
    if key == NONE {
        return None;
    }
    let take = |slot: &Slot, from: u64| {
        slot.key
            .compare_exchange(from, key, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    };
    find(slots, key)
        .or_else(|| window(slots, key).find(|slot| take(slot, NONE)))
        .or_else(|| {
            let oldest =
                window(slots, key).min_by_key(|slot| slot.time_ns.load(Ordering::Relaxed))?;
            take(oldest, oldest.key.load(Ordering::Relaxed)).then_some(oldest)
        })
}

/// Frees the slot of a key and returns when its interval started.
fn release(slots: &[Slot], key: u64) -> Option<u64> {
    let slot = find(slots, key)?;
    let started = slot.time_ns.swap(NONE, Ordering::Relaxed);
    // Where another key has taken the slot meanwhile, the time may be that key's.
    let kept = slot
        .key
        .compare_exchange(key, NONE, Ordering::Relaxed, Ordering::Relaxed);
    (kept.is_ok() && started != NONE).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Vec<Slot> {
        (0..SLOTS)
            .map(|_| Slot {
                key: AtomicU64::new(NONE),
                time_ns: AtomicU64::new(NONE),
            })
            .collect()
    }

    fn start(slots: &[Slot], key: u64, time_ns: u64) {
        if let Some(slot) = claim(slots, key) {
            slot.time_ns.store(time_ns, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_interval_frees_its_slot() {
        let slots = slots();
        for key in 0..100_000 {
            start(&slots, key, key);
            assert_eq!(release(&slots, key), Some(key));
            assert_eq!(release(&slots, key), None, "it has ended");
        }
    }

    #[test]
    fn an_end_without_a_start_takes_no_slot() {
        let slots = slots();
        assert!((0..10_000).all(|key| release(&slots, key).is_none()));
        assert!(
            slots
                .iter()
                .all(|slot| slot.key.load(Ordering::Relaxed) == NONE)
        );
    }

    #[test]
    fn starts_whose_end_never_comes_make_room_for_new_ones() {
        let slots = slots();
        for key in 0..100_000 {
            start(&slots, key, key);
        }
        start(&slots, 7_000_000, 100_000);
        assert_eq!(release(&slots, 7_000_000), Some(100_000));
    }
}
