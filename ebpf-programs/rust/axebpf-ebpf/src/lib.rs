//! What an axebpf program in Rust sees beside `aya-ebpf`.
//!
//! [`vmm`] and [`shell`] have the context of each event of the catalogue, [`event`] turns aya's context into one, and
//! [`current_vm_id`], [`current_vcpu_id`], [`exit_reason`], [`call_time_ns`], [`read_guest_kernel`] and
//! [`read_guest_user`] call the hypervisor's helpers.
//!
//! # Examples
//!
//! ```ignore
//! #[tracepoint(category = "vmm", name = "vcpu_run_exit")]
//! pub fn watch(ctx: TracePointContext) -> u32 {
//!     // SAFETY: The section names the event whose type this is.
//!     let exit = unsafe { event::<vmm::VcpuRunExit>(&ctx) };
//!     exit.reason
//! }
//! ```
#![no_std]

mod events;
mod helpers;

pub use events::{EventHeader, shell, vmm};
pub use helpers::{
    EXIT_IRQ, call_time_ns, current_vcpu_id, current_vm_id, exit_reason, read_guest_kernel,
    read_guest_user,
};

use aya_ebpf::{EbpfContext, programs::TracePointContext};

/// The record of one event of the catalogue.
///
/// # Safety
///
/// The type has the layout of the event's record, and every bit pattern is a value of it.
pub unsafe trait Event {
    /// The event's name with its system, as `vmm:vcpu_run_exit`.
    const NAME: &'static str;
}

/// Returns the record that a tracepoint program was called with.
///
/// The hypervisor checks each access against the record's true length: a program that names the wrong type is aborted
/// and counted, it reads nothing else.
///
/// # Safety
///
/// The program is attached to `E`'s event.
#[inline(always)]
#[must_use]
pub unsafe fn event<E: Event>(ctx: &TracePointContext) -> &E {
    // SAFETY: The context of a program on E's event is E's record (the caller's promise), 8-byte aligned, read-only and
    // alive while the program runs, which `ctx` does not outlive.
    unsafe { &*ctx.as_ptr().cast::<E>() }
}
