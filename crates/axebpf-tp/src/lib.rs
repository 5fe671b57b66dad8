//! Static tracepoints for a hypervisor: points in its code that report an event to whoever listens,
//! and cost one NOP while nobody does.
//!
//! [`define_event!`] defines an event with typed, documented fields; [`trace!`] passes a tracepoint
//! of it. The events that every hypervisor has are defined here, in [`vmm`] and [`shell`].
//! [`subscribe`] calls a handler at each firing, [`TracepointManager`] needs no handler: it counts
//! firings, measures durations ([`Event::stats`]) and records into a buffer for each CPU
//! ([`RECORDER`]). A [`Filter`] says which firings one wants.
//!
//! # Examples
//!
//! ```
//! use axebpf_tp::{RECORDER, TracepointManager, trace, vmm};
//!
//! // At start-up, once the image runs at its final mapping.
//! axebpf_hit::install(&axebpf_platform::mock::MOCK)?;
//! axebpf_tp::init()?;
//!
//! // In the operator's shell.
//! TracepointManager::global().enable("vmm:cpu_*")?;
//!
//! // In the hypervisor.
//! trace!(vmm::cpu_up { cpu: 1, mpidr: 0x8000_0001 });
//!
//! // In the operator's shell.
//! assert_eq!(vmm::cpu_up.stats().count, 1);
//! let mut reader = RECORDER.reader();
//! let entry = reader.next_entry().ok_or("nothing recorded")?.to_string();
//! assert!(entry.ends_with("vmm:cpu_up: cpu=1 mpidr=0x80000001"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a tracepoint costs
//!
//! On bare-metal aarch64, a tracepoint that nobody listens to is one NOP: no load, no compare, no
//! branch, and no field is evaluated. The code that evaluates the fields lies behind the function's
//! end; it puts them on the stack and calls a routine that saves every register, so that the
//! compiler keeps its registers as if the tracepoint were not there. A function that makes no calls
//! pays the same NOP, and needs no stack frame for it. What remains is that the compiler moves no
//! memory access across the NOP that it might have merged otherwise, and may share a computation
//! with the fields. The module `twins` (feature `twins`) has two pairs of functions that show it.
//!
//! All that holds for optimised code; without optimisation, the NOP's answer is kept in memory and
//! compared.
//!
//! While somebody listens, the NOP is a branch. Turning it on and off writes the text of the
//! running hypervisor behind a fence ([`axebpf_hit::text::write_fenced`]), all tracepoints of the
//! event at once or none.
//!
//! On other targets, hosts included, a tracepoint is a relaxed load and a branch. Patching code
//! that other threads execute is undefined behaviour there (the crate `static-keys` documents it
//! for x86_64). A program for x86_64 Linux that can rule that out turns the feature `static-keys`
//! on and says so through `patch_key_sites`: its tracepoints are five-byte NOPs from then on, which
//! that crate patches. The feature alone is safe, and changes nothing for other targets.
//!
//! # Events of `ktracepoint`
//!
//! A kernel that has events of the crate `ktracepoint` already need not define them again: with the
//! feature `ktracepoint`, `import_ktracepoints` makes them events of this crate, with all that goes
//! with it. They fire, and cost, as they do without this crate.
//!
//! # How events and tracepoints are found
//!
//! Each definition and each tracepoint leaves an entry in a section of the image, relative to
//! itself, so that a relocated image needs no fix-up, and with a C identifier for a name, so that
//! the linker delimits it without a linker script (one that does not mention them is fine; one that
//! discards unknown sections must keep `axebpf_events` and `axebpf_keys`). `--gc-sections` keeps
//! the entry of a tracepoint exactly when it keeps the function around it. [`init`] reads them.
//!
//! # Records
//!
//! A firing is handed on as a record that existing tools for Linux's tracefs can read: an 8-byte
//! header, then the fields as C would lay them out. [`Event::format`] prints the description, as
//! `/sys/kernel/tracing/events/*/*/format` does.
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
#[cfg(feature = "ktracepoint")]
mod ktracepoint;
mod layout;
mod lock;
mod macros;
mod recorder;
mod registry;
mod section;
mod similar;
mod site;
#[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
mod static_key;
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
pub use filter::{FieldFilter, Filter, FilterError};
#[cfg(feature = "ktracepoint")]
pub use ktracepoint::import_ktracepoints;
pub use recorder::{Entry, Overflow, RECORDER, Reader, Recorder};
pub use registry::{events, find, find_by_id, init, matching};
pub use site::{Site, Tracepoint, is_listened_to};
#[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
pub use static_key::patch_key_sites;
pub use stats::{BUCKETS, Histogram, Stats};
pub use subscribe::{Subscription, subscribe};

/// What the expansions of the macros use. Not for other code.
#[doc(hidden)]
pub mod __private {
    pub use crate::dispatch::RecordBuffer;
    pub use crate::event::EventSpec;
    pub use crate::layout::{lay_out, record_len, word_offset};
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    pub use crate::site::enter_report;
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    pub use crate::site::here;
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    pub use static_keys;
}
