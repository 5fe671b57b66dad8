//! End-to-end cases: boots the testbed under QEMU, types at its shell, and compares what it prints.
//!
//! [`Machine`] is one QEMU with the image in it, [`Console`] its serial line, and [`Script`] one case of `cases/`.
//! `cargo xtask` drives its demo and its benchmarks with the same machine.
//!
//! # Examples
//!
//! ```no_run
//! use axebpf_e2e::{Machine, Options, image_path};
//!
//! let mut machine = Machine::boot(&image_path()?, &Options::default())?;
//! let listing = machine.command("trace list vmm:*")?;
//! assert!(listing.contains("vmm:vcpu_run_exit"));
//! machine.shut_down()?;
//! # Ok::<(), anyhow::Error>(())
//! ```
#![forbid(unsafe_code)]

mod console;
mod machine;
mod pattern;
mod payload;
mod probes;
mod script;
mod upload;

pub use console::{Console, PROMPT};
pub use machine::{Machine, Options, Timing, image_path};
pub use pattern::Pattern;
pub use payload::{Linux, Payload, Start};
pub use probes::Counts;
pub use script::Script;
pub use upload::{upload, upload_by};
