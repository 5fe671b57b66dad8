//! What a hypervisor offers so that its guests can be probed: small traits, one capability each.
//!
//! Two objects carry them. [`GuestMachine`] is one virtual machine, which probes keep for as long as they are
//! attached. [`GuestVcpu`] is one vCPU that has left the guest and is still loaded on the executing CPU; it is
//! borrowed for one call. Each has the capabilities that every hypervisor has as supertraits and hands out the others
//! through a method that answers `None` unless the hypervisor says otherwise.
//!
//! | trait | of | what for |
//! |---|---|---|
//! | [`GuestMemory`](crate::GuestMemory) | VM | walking the guest's tables, reading text and data |
//! | [`WriteGuest`] | VM | stores of simulated instructions |
//! | [`GuestText`] | VM | `BRK` and `HVC` in the guest's own memory |
//! | [`Stage2`] | VM | keeping vCPUs from text that is written; hiding pages; the views |
//! | [`ShadowPages`] | VM | the copy of a page that is executed, or stepped in, instead of the guest's |
//! | [`KickVcpus`] | VM | fencing text writes |
//! | [`VcpuRegisters`] | vCPU | everything |
//! | [`SingleStep`] | vCPU | instructions that cannot be simulated |
//! | [`SwitchView`] | vCPU | the same, and what a hidden page shows to who reads it |
//! | [`HoldInterrupts`] | vCPU | steps that no interrupt ends |
//! | [`GuestDebug`] | vCPU | leaving a guest alone that debugs itself |
//!
//! [`Capabilities`] is the set of those that there are; [`Capabilities::mode`] tells which modes they allow.
//!
//! # Who calls when, with what locks
//!
//! *In an exit*, on the CPU on which the vCPU is loaded, with interrupts masked, `handle_exit` and `prepare_entry`
//! call every trait of the vCPU, and of the VM all but the allocation of shadow pages. They may be called on several
//! CPUs at once, for different vCPUs of one VM. So these functions must not allocate, log, wait for a lock that is
//! held with interrupts open, or wait for a vCPU in any way other than [`KickVcpus::kick_out`]. They must not be
//! hprobed.
//!
//! *In management* (attaching, detaching, deferred work), from a task with interrupts open and no lock held that an
//! exit may want, the traits of the VM are called, never those of a vCPU.

mod capability;
mod machine;
mod syndrome;
mod vcpu;

pub use capability::{Capabilities, ModeUnavailable};
pub use machine::{
    Backing, GuestMachine, GuestText, KickVcpus, PageAccess, ShadowPage, ShadowPages, Stage2,
    Stage2Error, View, WriteGuest,
};
pub use syndrome::{Abort, AccessKind, GuestExit, Outcome, Syndrome};
pub use vcpu::{
    GuestDebug, GuestVcpu, HoldInterrupts, SingleStep, SwitchView, SystemRegister, VcpuRegisters,
};
