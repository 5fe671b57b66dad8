//! What a host hypervisor provides to axebpf.
//!
//! Each capability is a small trait on the consumer's side; [`Platform`] is their sum, and every type that has all of them
//! is one. A hypervisor implements the traits once, for a static without state, and hands a reference to it in
//! (`axebpf_hit::install`).
//!
//! | trait | what for |
//! |---|---|
//! | [`Clock`] | time stamps, and bounds on waiting |
//! | [`Cpus`] | which CPU this is, and which others there are |
//! | [`CurrentVcpu`] | on whose behalf the hypervisor runs |
//! | [`Interrupts`] | keeping a CPU to itself |
//! | [`CoreSync`] | stopping the other CPUs for a moment |
//! | [`TextPatch`] | switching tracepoints and probes on and off |
//! | [`ExecMemory`] | executing displaced instructions |
//! | [`ReadMemory`] | reading through pointers that may be wrong |
//! | [`Console`] | showing results |
//!
//! Called during a hit, with interrupts masked and anywhere in the hypervisor's code, are: all of [`Clock`], [`Cpus`],
//! [`CurrentVcpu`] and [`Interrupts`], [`synchronize_context`](CoreSync::synchronize_context) and
//! [`read_memory`](ReadMemory::read_memory). They must not allocate, lock or log, and must not be probed.
//!
//! A capability that is missing is said to be missing: text that cannot be patched is [`TextError::Unsupported`], executable
//! memory that cannot be had is [`ExecError::Unsupported`], and what needs them is refused with that error.
//!
//! # Implementations
//!
//! - On aarch64 without an operating system, the module `arch` has ready-made pieces, from which the platform of a hypervisor
//!   at EL2 is mostly composed.
//! - Feature `host`: a platform on `std`, with threads as CPUs, for tests and host tools.
//! - Feature `mock`: the same with time, CPU and virtual CPU set by the test.
//! - Feature `axhal`: a platform on the `ax-hal` crates, which need unstable Rust and an aarch64 target.
//!
//! # Examples
//!
//! A hypervisor on one CPU, which has nobody to stop and cannot patch its text:
//!
//! ```
//! use axebpf_platform::*;
//!
//! struct Hypervisor;
//!
//! # fn read_counter() -> u64 { 6_250 }
//! impl Clock for Hypervisor {
//!     fn now_ns(&self) -> u64 {
//!         // CNTPCT_EL0 and CNTFRQ_EL0; `arch::now_ns` reads both.
//!         ticks_to_ns(read_counter(), 62_500_000)
//!     }
//! }
//!
//! impl Cpus for Hypervisor {
//!     fn current_cpu(&self) -> CpuId {
//!         CpuId::new(0)
//!     }
//!
//!     fn cpu_limit(&self) -> u32 {
//!         1
//!     }
//!
//!     fn is_online(&self, cpu: CpuId) -> bool {
//!         cpu.get() == 0
//!     }
//! }
//!
//! impl CurrentVcpu for Hypervisor {
//!     fn current_vcpu(&self) -> Option<Vcpu> {
//!         Some(Vcpu { vm: VmId::new(1), vcpu: VcpuId::new(0) })
//!     }
//!
//!     fn exit_reason(&self) -> Option<u32> {
//!         Some(EXIT_REASON_IRQ)
//!     }
//! }
//!
//! impl Interrupts for Hypervisor {
//!     fn mask(&self) -> InterruptState {
//!         // `arch::mask_interrupts`
//!         InterruptState(0)
//!     }
//!
//!     fn restore(&self, _state: InterruptState) {}
//! }
//!
//! impl CoreSync for Hypervisor {
//!     fn kick(&self, _cpu: CpuId) {}
//!
//!     fn synchronize_context(&self) {}
//! }
//!
//! impl TextPatch for Hypervisor {
//!     unsafe fn write_text(&self, _at: HostVirt, _bytes: &[u8]) -> Result<(), TextError> {
//!         Err(TextError::Unsupported)
//!     }
//! }
//!
//! impl ExecMemory for Hypervisor {
//!     fn alloc_exec(&self, _len: usize) -> Result<ExecRegion, ExecError> {
//!         Err(ExecError::Unsupported)
//!     }
//!
//!     fn free_exec(&self, _region: ExecRegion) {}
//! }
//!
//! impl ReadMemory for Hypervisor {
//!     fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
//!         // `arch::read_memory`
//!         dst.fill(0);
//!         Err(ReadFault { addr: src })
//!     }
//! }
//!
//! impl Console for Hypervisor {
//!     fn write_console(&self, _text: &[u8]) {}
//! }
//!
//! static HYPERVISOR: Hypervisor = Hypervisor;
//! let platform: &'static dyn Platform = &HYPERVISOR;
//! assert_eq!(platform.now_ns(), 100_000);
//! ```
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
