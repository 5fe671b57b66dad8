//! Probes on any function of the hypervisor itself.
//!
//! A probe on the entry or the return of a function, or on one of its instructions, replaces an instruction
//! of the running hypervisor by one that traps, calls a handler, and executes the replaced instruction
//! elsewhere.
//!
//! - [`ProbePoint`] names a place, [`attach`] a [`HprobeHandler`] to one or many of them, and the [`HprobeLink`] stands
//!   for that until it is detached. [`Config`] says once what the hypervisor allows.
//! - [`inspect`] decides whether a place may be probed: it consults the [`Blacklist`], reads the instruction without
//!   faulting, has `axebpf-a64` classify it, and looks for an exclusive sequence around it.
//! - [`handle_break`] and [`handle_fault`] are what the hypervisor's exception vector calls.
//!
//! # How a probe works
//!
//! The probed instruction is replaced by [`BrkImmediate::Probe`]. At the trap, the handlers of all links at the point run,
//! and the instruction is executed: simulated on the registers of the trap, or in a *slot*, a copy in executable memory
//! with a way back. Interrupts stay masked from the trap until the instruction has been executed.
//!
//! Attaching fills the slots, behind a fence, then publishes the points for hits to find, and then writes the traps, behind
//! one fence for all points of the link. Detaching writes the instructions back, publishes the rest, waits until no hit
//! reads what was, and frees the slots. Whatever fails takes back what was done before it. A trap that was taken before
//! its `BRK` went away is recognised, and the instruction that is there again executed.
//!
//! A probe that fires in a hit is counted as missed, by each of its links, and stepped over.
//!
//! A probe on the return of a function replaces the return address at the entry by that of a *trampoline*, a
//! [`BrkImmediate::Return`], and keeps what was there in a [`ReturnTable`]. The trampoline is there for ever, so links can
//! be detached while calls are in flight.
//!
//! # What the hypervisor has to do
//!
//! - Its vector for synchronous exceptions taken from EL2 itself calls [`handle_break`] for class 0x3c and
//!   [`handle_fault`] for all others, before anything else. The frame lies at least 512 bytes below the interrupted stack
//!   pointer, where displaced instructions store, and all registers are restored from it, the stack pointer too.
//! - It saves and restores what a nested exception would change: `ELR_EL2`, `SPSR_EL2`, `ESR_EL2`, `FAR_EL2`, `HPFAR_EL2` and
//!   `PAR_EL1`. A `BRK` itself overwrites the first three; code that needs them still, from an exception until it has read
//!   them and from writing them until `ERET`, is declared as [`Protection::TrapEntry`].
//! - It closes to probes, with [`Blacklist::protect`], what a trap executes before [`handle_break`], after it, and all that is reachable
//!   from it, the methods of its platform included, and what is executed while text is written.
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
#![deny(unsafe_code)]

extern crate alloc;

mod attach;
mod blacklist;
mod config;
mod error;
mod exclusive;
#[cfg(all(
    feature = "kprobe",
    not(loom),
    any(
        target_arch = "x86_64",
        target_arch = "riscv64",
        target_arch = "loongarch64"
    )
))]
mod foreign;
mod foreign_refusal;
mod handler;
mod hit;
mod inspect;
mod link;
mod lock;
#[cfg(any(
    target_arch = "aarch64",
    all(
        feature = "kprobe",
        not(loom),
        any(
            target_arch = "x86_64",
            target_arch = "riscv64",
            target_arch = "loongarch64"
        )
    )
))]
pub mod native;
mod point;
mod reachable;
mod registry;
mod returning;
mod returns;
mod slot;
mod step;
mod text;
mod trap;

pub use axebpf_a64::{BranchTargets, Execution, MemoryFault, PtRegs, SigningKey};
pub use blacklist::{Blacklist, Protection};
pub use config::{Config, SignFn, StoreFn};
pub use error::HprobeError;
pub use foreign_refusal::ForeignRefusal;
pub use handler::{Entered, HprobeHandler, HprobeHit};
pub use hit::{handle_break, handle_fault};
pub use inspect::{Displaced, inspect};
pub use link::{HprobeLink, LinkOptions, PointInfo, PointLink, attach, install, list};
pub use point::{ProbeKind, ProbePoint};
pub use returning::{forget_stack, real_return_address};
pub use returns::{LinkId, MaxActive, ReturnInstance, ReturnTable, ReturnTableFull};
pub use trap::{Break, BrkImmediate};
