//! What a host hypervisor provides to axebpf.
//!
//! Each capability is a small trait on the consumer's side; [`Platform`] is their sum.
#![no_std]

#[cfg(feature = "host")]
extern crate std;

mod addr;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod arch;
#[cfg(all(feature = "axhal", target_arch = "aarch64", target_os = "none"))]
pub mod axhal;
mod counter;
mod error;
#[cfg(feature = "host")]
pub mod host;
mod ids;
mod maintenance;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(any(feature = "host", all(target_arch = "aarch64", target_os = "none")))]
mod pages;
mod par;
mod traits;

pub use addr::{GuestPhys, GuestVirt, HostPhys, HostVirt};
pub use counter::ticks_to_ns;
pub use error::{ExecError, ReadFault, TextError};
pub use ids::{CpuId, VcpuId, VmId};
pub use maintenance::{CacheGeometry, Maintenance};
pub use par::{is_normal as is_normal_translation, translated_address};
pub use traits::{
    Clock, Console, CoreSync, Cpus, CurrentVcpu, ExecMemory, ExecRegion, InterruptState,
    Interrupts, Platform, ReadMemory, TextPatch, Vcpu,
};

/// The exit reason of an interrupt: no exception class, of which there are 64, but next to them.
pub const EXIT_REASON_IRQ: u32 = 64;
