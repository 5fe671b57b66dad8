//! Static tracepoints: one NOP while nobody listens; filters, statistics, the VMM event catalogue
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod catalogue;
mod collector;
mod control;
mod dispatch;
mod duration;
mod error;
mod event;
mod field;
mod field_type;
mod filter;
mod format;
mod interval;
mod key;
mod lock;
mod macros;
mod recorder;
mod registry;
mod section;
mod similar;
mod site;
mod stats;
mod subscribe;
#[cfg(feature = "twins")]
#[allow(unsafe_code, reason = "`define_event!` adds to a section of the image")]
pub mod twins;

pub use catalogue::{shell, vmm};
pub use collector::Recording;
pub use control::{EnableOptions, TracepointInfo, TracepointManager};
pub use dispatch::{TraceHandler, TraceHit};
pub use duration::{Duration, Pairing};
pub use error::TpError;
pub use event::Event;
pub use field::{Field, FieldType, FieldValue, HEADER_LEN, MAX_RECORD_LEN, Radix};
pub use field_type::{Hex, Str, TraceField};
pub use filter::{Filter, FilterError};
pub use recorder::{Entry, Overflow, RECORDER, Reader, Recorder};
pub use registry::{events, find, find_by_id, init, matching};
pub use site::{Tracepoint, is_listened_to};
pub use stats::{BUCKETS, Histogram, Stats};
pub use subscribe::{Subscription, subscribe};

/// What the expansions of the macros use. Not for other code.
#[doc(hidden)]
pub mod __private {
    pub use crate::dispatch::RecordBuffer;
    pub use crate::event::EventSpec;
    pub use crate::field::{lay_out, record_len, word_offset};
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    pub use crate::site::enter_report;
}
