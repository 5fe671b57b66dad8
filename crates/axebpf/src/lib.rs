//! eBPF tracing inside a type-1 hypervisor.
//!
//! This crate puts the parts of axebpf together for a hypervisor that embeds it: the root object
//! [`Axebpf`], which loads eBPF objects, keeps their programs and maps, and attaches programs to
//! probe points; the [`shell`] for its console; and the parts themselves as modules, each of which
//! is a crate that can also be used alone.
//!
//! | module | feature | what it is |
//! |---|---|---|
//! | [`platform`], [`hit`] | | what the hypervisor provides; being in a hit |
//! | `symbols` | `symbols` | symbol tables of the hypervisor image |
//! | `tracepoint` | `tracepoint-support` | static tracepoints and the catalogue of events |
//! | `runtime`, `maps` | `runtime` | eBPF programs and their maps |
//! | `programs` | `precompiled-ebpf` | the shipped programs, built |
//! | `probe::hprobe` | `hprobe` | probes on functions of the hypervisor |
//! | `probe::kprobe` | `guest-kprobe` | probes on functions of guest kernels |
//!
//! # Examples
//!
//! The whole path, on the mock platform: a tracepoint of the hypervisor, a program from C that
//! counts by virtual CPU and reason, and its map.
//!
//! ```
//! # #[cfg(all(feature = "tracepoint-support", feature = "precompiled-ebpf"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axebpf::platform::mock::MOCK;
//! use axebpf::tracepoint::{trace, vmm};
//! use axebpf::{Axebpf, LinkOptions, LoadOptions, programs};
//!
//! // Once, early: the root object on the hypervisor's platform.
//! let axebpf = Axebpf::new(&MOCK)?;
//!
//! // An object from the library, from a file, or from the console.
//! let elf = programs::find("exit_count").ok_or("not shipped")?.elf;
//! let object = axebpf.load("exit_count", elf, &LoadOptions::default())?;
//! let info = axebpf.object(object)?;
//!
//! // Its section says where it attaches; the filter says for which hits it runs.
//! let options = LinkOptions::default().with_filter("vm_id == 1");
//! let link = axebpf.attach(info.programs[0], &options)?;
//!
//! // The hypervisor passes the tracepoint.
//! for vm_id in [1, 2, 1] {
//!     trace!(vmm::vcpu_run_exit {
//!         vm_id,
//!         vcpu_id: 0,
//!         reason: 22,
//!         pc: 0x4008_0000,
//!         esr: 0x5a00_0000,
//!         far: 0,
//!         gpa: 0,
//!     });
//! }
//!
//! // The result: the value of the key {1, 0, 22}.
//! let map = axebpf.map(info.maps[0])?.map;
//! let key: Vec<u8> = [1u32, 0, 22].iter().flat_map(|field| field.to_ne_bytes()).collect();
//! assert_eq!(map.read(&key)?, Some(2u64.to_ne_bytes().to_vec()));
//!
//! // When this returns, no CPU runs the program any more.
//! let counts = axebpf.detach(link)?;
//! assert_eq!(counts.hits, 2);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "tracepoint-support", feature = "precompiled-ebpf")))]
//! # fn main() {}
//! ```
//!
//! A hypervisor that wants tracepoints and no programs needs no root object:
//!
//! ```
//! # #[cfg(feature = "tracepoint-support")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axebpf::tracepoint::TracepointManager;
//!
//! axebpf::init()?;
//! let manager = TracepointManager::global();
//! manager.enable("vmm:vm_create")?;
//! for tracepoint in manager.list_tracepoints() {
//!     println!("{} {}", tracepoint.name, if tracepoint.enabled { "on" } else { "off" });
//! }
//! manager.disable("vmm:vm_create")?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "tracepoint-support"))]
//! # fn main() {}
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod global;
#[cfg(feature = "hprobe")]
mod hprobe;
mod id;
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
mod kprobe;
mod probe_type;
mod registry;
mod root;
pub mod shell;

#[cfg(feature = "runtime")]
mod attachment;
#[cfg(feature = "runtime")]
mod link;
#[cfg(feature = "runtime")]
mod lock;
#[cfg(feature = "runtime")]
mod map;
#[cfg(all(feature = "runtime", feature = "symbols"))]
#[cfg_attr(not(feature = "tracepoint-support"), allow(dead_code))]
mod names;
#[cfg(feature = "runtime")]
mod object;
#[cfg(feature = "runtime")]
mod origin;
#[cfg(feature = "runtime")]
mod printk;
#[cfg(feature = "precompiled-ebpf")]
pub mod programs;
#[cfg(feature = "runtime")]
mod state;
#[cfg(feature = "runtime")]
mod target;

pub use axebpf_hit as hit;
#[cfg(feature = "runtime")]
pub use axebpf_maps as maps;
pub use axebpf_platform as platform;
#[cfg(feature = "symbols")]
pub use axebpf_symbols as symbols;
#[cfg(feature = "tracepoint-support")]
pub use axebpf_tp as tracepoint;
#[cfg(feature = "runtime")]
pub use axebpf_vm as runtime;

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "tracepoint-support"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Probes on functions: of the hypervisor itself, and of guest kernels.
#[cfg(feature = "hprobe")]
pub mod probe {
    #[cfg(feature = "guest-kprobe")]
    pub use axebpf_guestprobe as kprobe;
    pub use axebpf_hprobe as hprobe;
}

pub use error::Error;
pub use global::init;
#[cfg(feature = "hprobe")]
pub use hprobe::HprobeSetup;
pub use id::{LinkId, MapId, ObjectId, ProgramId};
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
pub use kprobe::{GuestError, GuestInfo, GuestSetup, SymbolOrigin};
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
pub use link::{GuestLinkInfo, LeftOut};
#[cfg(feature = "runtime")]
pub use link::{LinkCounts, LinkInfo, LinkOptions};
#[cfg(feature = "runtime")]
pub use map::MapInfo;
#[cfg(feature = "runtime")]
pub use object::{LoadOptions, ObjectInfo, ProgramInfo, Unload};
#[cfg(feature = "runtime")]
pub use origin::Origin;
#[cfg(feature = "runtime")]
pub use printk::PrintkLine;
pub use probe_type::ProbeType;
pub use registry::Registry;
pub use root::Axebpf;
#[cfg(feature = "runtime")]
pub use target::{Target, TargetError};
