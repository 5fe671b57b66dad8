//! Probes on any function of the hypervisor itself.
//!
//! A probe on the entry or the return of a function, or on one of its instructions, replaces an instruction
//! of the running hypervisor by one that traps, calls a handler, and executes the replaced instruction
//! elsewhere.
//!
//! # What exists
//!
//! - Naming the place: [`ProbePoint`] and [`ProbeKind`].
//! - Deciding whether it may be probed: [`inspect`] reads the instruction there without faulting, consults
//!   the [`Blacklist`], has `axebpf-a64` classify the instruction, and returns it as [`Displaced`] or says
//!   why not ([`HprobeError`]).
//! - What a handler gets: [`HprobeHandler`], [`HprobeHit`], and [`PtRegs`] with Linux's layout.
//!
//! # What does not exist yet
//!
//! Nothing here patches text, handles a trap, or calls a handler: there is no function to attach a probe.
//!
//! # Examples
//!
//! ```
//! use axebpf_hprobe::{Blacklist, ProbePoint, Protection, inspect};
//! use axebpf_platform::HostVirt;
//! use axebpf_platform::mock::MOCK;
//!
//! // stp x29, x30, [sp, #-16]!; mov x29, sp; eret
//! static CODE: [u32; 3] = [0xa9bf_7bfd, 0x9100_03fd, 0xd69f_03e0];
//!
//! let start = HostVirt::new(CODE.as_ptr() as u64);
//! let end = HostVirt::new(CODE.as_ptr_range().end as u64);
//! let blacklist = Blacklist::new(start..end)?;
//!
//! let entry = ProbePoint::entry(start, 0)?;
//! println!("{:?}", inspect(&entry, &MOCK, &blacklist)?);
//!
//! let last = ProbePoint::entry(start, 8)?;
//! let error = inspect(&last, &MOCK, &blacklist).unwrap_err();
//! assert!(error.to_string().ends_with("it returns from an exception"));
//! # Ok::<(), axebpf_hprobe::HprobeError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod blacklist;
mod error;
mod handler;
mod inspect;
mod point;

pub use axebpf_a64::{Execution, PtRegs};
pub use blacklist::{Blacklist, Protection};
pub use error::HprobeError;
pub use handler::{HprobeHandler, HprobeHit};
pub use inspect::{Displaced, inspect};
pub use point::{ProbeKind, ProbePoint};
