//! What an event's duration is: a field, or the time since another event.

use crate::event::Event;
use crate::field::Field;
use crate::layout::same;

/// Tells where the duration of an event comes from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Duration {
    /// The event has none.
    None,
    /// The field of this name holds it, in nanoseconds.
    Field(&'static str),
    /// It is the time since another event.
    Since {
        /// The event that starts the interval.
        start: &'static Event,
        /// Which of its firings belongs to which of this one's.
        pairing: Pairing,
    },
}

/// Tells which start belongs to which end.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Pairing {
    /// The last one on the same CPU.
    Cpu,
    /// The last one with the same values in these fields, of which there are at most two, of at
    /// most 4 bytes each.
    Fields(&'static [&'static str]),
}

/// Makes sure that the fields that a definition names for its duration exist.
///
/// # Panics
///
/// At compile time, when one does not.
pub(crate) const fn check(duration: Duration, fields: &[Field]) {
    match duration {
        Duration::None => {}
        Duration::Field(name) => assert!(has(fields, name), "`duration` names no field"),
        Duration::Since {
            pairing: Pairing::Cpu,
            ..
        } => {}
        Duration::Since {
            pairing: Pairing::Fields(names),
            ..
        } => {
            assert!(names.len() <= 2, "`duration` pairs by at most two fields");
            let mut i = 0;
            while i < names.len() {
                assert!(
                    has(fields, names[i]),
                    "`duration` pairs by a field that does not exist"
                );
                i += 1;
            }
        }
    }
}

/// Tells whether one of the fields has this name.
const fn has(fields: &[Field], name: &str) -> bool {
    let mut i = 0;
    while i < fields.len() {
        if same(fields[i].name(), name) {
            return true;
        }
        i += 1;
    }
    false
}
