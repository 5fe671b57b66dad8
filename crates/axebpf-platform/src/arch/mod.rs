//! Ready-made pieces for a platform of a hypervisor at EL2 of aarch64.
//!
//! | capability | pieces |
//! |---|---|
//! | [`Clock`](crate::Clock) | [`now_ns`] |
//! | [`Interrupts`](crate::Interrupts) | [`mask_interrupts`], [`restore_interrupts`] |
//! | [`CoreSync`](crate::CoreSync) | [`synchronize_context`]; the kick is an interrupt between CPUs |
//! | [`TextPatch`](crate::TextPatch) | [`write_text`], given a writable alias; [`publish_text`] alone for text that is there already |
//! | [`ReadMemory`](crate::ReadMemory) | [`read_memory`], and [`fault_fixup`] in the data-abort vector |
//!
//! [`store`], [`sign_with_a`] and [`sign_with_b`] are for instructions that a probe displaces.
//!
//! # Examples
//!
//! ```ignore
//! use axebpf_platform::{arch, Clock, HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory};
//!
//! impl Clock for MyHypervisor {
//!     fn now_ns(&self) -> u64 {
//!         arch::now_ns()
//!     }
//! }
//!
//! impl ReadMemory for MyHypervisor {
//!     fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
//!         arch::read_memory(src, dst)
//!     }
//! }
//!
//! /// Called by the vector for synchronous exceptions from EL2 itself.
//! fn synchronous(frame: &mut TrapFrame) {
//!     const DATA_ABORT_SAME_EL: u64 = 0x25;
//!     if frame.esr >> 26 & 0x3f == DATA_ABORT_SAME_EL
//!         && let Some(fixup) = arch::fault_fixup(frame.elr)
//!     {
//!         frame.elr = fixup;
//!         return;
//!     }
//!     // ...
//! }
//! ```

mod cpu;
mod memory;
mod sign;
mod store;
mod text;

pub use cpu::{mask_interrupts, now_ns, restore_interrupts, synchronize_context};
pub use memory::{fault_fixup, is_normal_memory, read_memory, translate, translate_for_writing};
pub use sign::{sign_with_a, sign_with_b};
pub use store::store;
pub use text::{cache_geometry, publish_text, write_text};
