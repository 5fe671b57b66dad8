//! eBPF tracing inside a type-1 hypervisor.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod global;
mod id;
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
#[cfg(feature = "runtime")]
mod object;
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

/// Probes on functions: of the hypervisor itself, and of guest kernels.
#[cfg(feature = "hprobe")]
pub mod probe {
    #[cfg(feature = "guest-kprobe")]
    pub use axebpf_guestprobe as kprobe;
    pub use axebpf_hprobe as hprobe;
}

pub use error::Error;
pub use global::init;
pub use id::{LinkId, MapId, ObjectId, ProgramId};
#[cfg(feature = "runtime")]
pub use link::{LinkCounts, LinkInfo, LinkOptions};
#[cfg(feature = "runtime")]
pub use map::MapInfo;
#[cfg(feature = "runtime")]
pub use object::{LoadOptions, ObjectInfo, ProgramInfo, Unload};
#[cfg(feature = "runtime")]
pub use printk::PrintkLine;
pub use probe_type::ProbeType;
pub use registry::Registry;
pub use root::Axebpf;
#[cfg(feature = "runtime")]
pub use target::{Target, TargetError};
