//! Probes on any function of a running guest kernel, from EL2.
//!
//! The guest needs no agent and no change: the hypervisor finds the instruction through the guest's own
//! page tables, makes it trap to EL2, calls a handler, and executes it on the guest's behalf.
//!
//! # How it fits together
//!
//! - The hypervisor implements the traits of what it can do ([`GuestMachine`], [`GuestVcpu`] and those that they hand
//!   out), and keeps a [`ProbedGuest`] beside each virtual machine. It calls [`ProbedGuest::handle_exit`] at
//!   synchronous exits before it looks at them itself, and [`ProbedGuest::prepare_entry`] before each entry, when
//!   [`KickVcpus`] takes the vCPU for one that is in the guest already.
//! - [`ProbedGuest::attach`] makes an instruction trap, in one of the ways of [`ProbeMode`], and hands each hit to a
//!   [`GuestProbeHandler`]. [`Capabilities::mode`] says which modes the hypervisor allows, and what the others lack.
//! - The displaced instruction is simulated by `axebpf-a64` on the vCPU's registers and on the guest's memory; what
//!   cannot be simulated, or faults when it is, the guest executes itself in one step, in a stage-2 view of its own
//!   in which there are no probes. Text is never restored for a step.
//! - [`Stage1`] walks the guest's tables through [`GuestMemory`]. A walk reads at most one descriptor per level,
//!   whatever the guest put there, and says where and why it ends ([`WalkFault`]).
//! - [`KernelScan`] finds the symbols and the type information of a Linux guest in its memory, so that nobody has to
//!   provide a file.
//!
//! # What each mode can miss
//!
//! | mode | misses |
//! |---|---|
//! | hidden `BRK` | executions while the guest has an instruction there that cannot be displaced |
//! | `BRK`, `HVC` | what runs after the guest has overwritten the trap, which it can see |
//! | stage-2 fault | executions that are reached from within the same page, or from another page with probes of this mode |
//! | both `BRK`s | what a vCPU runs while its guest debugs itself (`MDSCR_EL1.SS`, `KDE` or `MDE`), and with them all others |
//! | `HVC`, stage-2 fault | what such a vCPU runs from an instruction that cannot be simulated until it leaves the guest |
//!
//! [`LinkState`] says for each link which of these is the case at present, and for stage-2 faults how often a vCPU has
//! begun to run where it is not seen. Where calls return to is watched by hidden `BRK`s even for links of that mode, if
//! the hypervisor has what they need.
//!
//! In hidden pages, load-exclusive loops that read the page in which they are themselves do not end; no compiler
//! makes them. Where an instruction that has to be stepped stores into the page in which it is itself, a trap in plain
//! sight gives way: the instruction is put back, and the link is suspended. So do all traps of a page that is written
//! by what a guest executes in it while it debugs itself.
//!
//! Refused at attach is what could not be right: places in sequences of exclusives, and `HVC` at landing pads and in
//! pages that the guest's programs may execute, too, where it is undefined.
//!
//! # What is counted
//!
//! [`GuestCounts`] are those of a link: executions that were begun, those that were completed, and what was missed. A
//! call that has not returned when its link is detached is missed, too. [`GuestStatistics`] are those of the guest:
//! among them `withdrawn`, the traps that gave way; `lost`, exits at which the guest's tables did not say where the
//! vCPU was, so that it tried again; and `foreign`, traps that look like those of probes and are the guest's own.
//!
//! # What it costs when it is not in use
//!
//! As long as nobody has attached anything, and again once every vCPU has entered the guest after the last detach, an
//! exit costs a load and a comparison, and so does an entry, once programs run in the guest. Before that, entries take
//! note of how the guest translates addresses. With probes, exits cost more only where they can be because of one:
//! traps with another immediate are told from them by the syndrome, and so are faults on data, of devices most of all,
//! at guest-physical addresses outside of the blocks of 1 GiB from the lowest page with probes to the highest.
//!
//! # Examples
//!
//! ```
//! use axebpf_guestprobe::{Access, GuestMemory, GuestMemoryFault, Stage1};
//! use axebpf_platform::{GuestPhys, GuestVirt};
//!
//! /// A guest whose memory is one page table, at guest-physical address 0.
//! struct Guest([u64; 512]);
//!
//! impl GuestMemory for Guest {
//!     fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
//!         let word = self.0.get((at.get() / 8) as usize).ok_or(GuestMemoryFault { at })?;
//!         bytes.copy_from_slice(&word.to_le_bytes());
//!         Ok(())
//!     }
//! }
//!
//! let mut guest = Guest([0; 512]);
//! // A block of 1 GiB at 0x4000_0000, accessed, for the kernel alone.
//! guest.0[1] = 0x4000_0401;
//! let stage1 = Stage1 {
//!     ttbr0: 0,
//!     ttbr1: 0,
//!     // 39 bits of virtual and 40 bits of physical addresses, upper half disabled.
//!     tcr: 2 << 32 | 2 << 30 | 1 << 23 | 25 << 16 | 25,
//!     sctlr: 1,
//! };
//! let found = stage1.translate(&guest, GuestVirt::new(0x4000_1234), Access::Fetch)?;
//! assert_eq!(found.at, GuestPhys::new(0x4000_1234));
//! assert!(found.rights.privileged_execute());
//! # Ok::<(), axebpf_guestprobe::WalkFault>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod context;
mod deliver;
mod descriptor;
mod displace;
mod engine;
mod error;
mod granule;
mod handler;
mod inspect;
mod integration;
mod kernel;
mod memory;
mod probe;
mod regime;
mod walk;

pub use axebpf_a64::{Insn, PtRegs};
pub use context::{GuestContext, StackStart};
pub use deliver::deliver_brk;
pub use descriptor::Rights;
pub use displace::Way;
pub use engine::{GuestCounts, GuestLinkId, GuestStage, GuestStatistics, LinkState, ProbedGuest};
pub use error::{GuestProbeError, WalkFault, WalkProblem};
pub use handler::{Entered, GuestProbeHandler, GuestProbeHit};
pub use inspect::{Displaced, inspect};
pub use integration::{
    Abort, AccessKind, Backing, Capabilities, GuestDebug, GuestExit, GuestMachine, GuestText,
    GuestVcpu, HoldInterrupts, KickVcpus, ModeUnavailable, Outcome, PageAccess, ShadowPage,
    ShadowPages, SingleStep, Stage2, Stage2Error, SwitchView, Syndrome, SystemRegister,
    VcpuRegisters, View, WriteGuest,
};
pub use kernel::{KernelScan, KernelScanError, Sought};
pub use memory::{GuestMemory, GuestMemoryFault};
pub use probe::{GuestProbe, ProbeKind, ProbeMode};
pub use regime::Stage1;
pub use walk::{Access, Translation};
