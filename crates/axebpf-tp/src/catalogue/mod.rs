//! The events that every hypervisor has: what a hypervisor reports, and with what, is agreed here.

#![allow(unsafe_code, reason = "`define_event!` adds to a section of the image")]

pub mod shell;
pub mod vmm;
