//! Probes on any function of a running guest kernel, from EL2.
//!
//! The guest needs no agent and no change: the hypervisor finds the instruction through the guest's own
//! page tables, makes it trap to EL2, calls a handler, and executes it on the guest's behalf.
//!
//! # What exists
//!
//! - Naming the place and the way: [`GuestProbe`], [`ProbeKind`], [`ProbeMode`].
//! - Translating a guest's virtual addresses on the host, for the 4 KiB granule: [`Stage1`] walks the
//!   guest's tables through [`GuestMemory`], which the hypervisor implements. A walk reads at most four
//!   descriptors, whatever the guest put there, and says where and why it ends ([`WalkFault`]).
//! - Deciding whether a place may be probed: [`inspect`] translates it, checks that the guest's kernel may
//!   execute it, and has `axebpf-a64` classify the instruction.
//! - What a handler gets: [`GuestProbeHandler`], [`GuestProbeHit`], and [`PtRegs`] with Linux's layout.
//!
//! # What does not exist yet
//!
//! Nothing here changes a guest, handles an exit, or calls a handler: there is no function to attach a
//! probe, and of the modes there is only the name. Granules of 16 and 64 KiB, addresses of 52 bits and
//! big-endian tables are refused as unsupported; permission indirection (`FEAT_S1PIE`) is not known.
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

mod deliver;
mod descriptor;
mod engine;
mod error;
mod handler;
mod inspect;
mod integration;
mod memory;
mod probe;
mod regime;
mod walk;

pub use axebpf_a64::{Execution, PtRegs};
pub use deliver::deliver_brk;
pub use descriptor::Rights;
pub use engine::ProbedGuest;
pub use error::{GuestProbeError, WalkFault, WalkProblem};
pub use handler::{GuestProbeHandler, GuestProbeHit};
pub use inspect::{Displaced, inspect};
pub use integration::{
    Abort, AccessKind, Backing, Capabilities, GuestDebug, GuestExit, GuestMachine, GuestText,
    GuestVcpu, HoldInterrupts, KickVcpus, ModeUnavailable, Outcome, PageAccess, ShadowPage,
    ShadowPages, SingleStep, Stage2, Stage2Error, SwitchView, Syndrome, SystemRegister,
    VcpuRegisters, View, WriteGuest,
};
pub use memory::{GuestMemory, GuestMemoryFault};
pub use probe::{GuestProbe, ProbeKind, ProbeMode};
pub use regime::Stage1;
pub use walk::{Access, Translation};
