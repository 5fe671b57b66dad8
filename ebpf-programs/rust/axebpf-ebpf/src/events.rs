//! The context of each event of the catalogue.
//!
//! Written by `cargo xtask build-programs --events` from the catalogue; do not edit.

use crate::Event;

/// How each record begins, as in Linux.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EventHeader {
    /// The event's number.
    pub common_type: u16,
    /// Unused; 0.
    pub common_flags: u8,
    /// Unused; 0.
    pub common_preempt_count: u8,
    /// The CPU that the event happened on.
    pub common_pid: i32,
}

/// The events of the system `vmm`.
pub mod vmm {
    use super::{Event, EventHeader};

    /// The record of `vmm:vcpu_run_enter`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuRunEnter {
        /// How each record begins.
        pub common: EventHeader,
        /// The field `vm_id`.
        pub vm_id: u32,
        /// The field `vcpu_id`.
        pub vcpu_id: u32,
    }

    // SAFETY: The layout follows the event's format; all fields are integers.
    unsafe impl Event for VcpuRunEnter {
        const NAME: &'static str = "vmm:vcpu_run_enter";
    }

    /// The record of `vmm:vcpu_run_exit`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct VcpuRunExit {
        /// How each record begins.
        pub common: EventHeader,
        /// The field `vm_id`.
        pub vm_id: u32,
        /// The field `vcpu_id`.
        pub vcpu_id: u32,
        /// The field `reason`.
        pub reason: u32,
        /// The field `pc`.
        pub pc: u64,
    }

    // SAFETY: The layout follows the event's format; all fields are integers.
    unsafe impl Event for VcpuRunExit {
        const NAME: &'static str = "vmm:vcpu_run_exit";
    }
}

/// The events of the system `shell`.
pub mod shell {}
