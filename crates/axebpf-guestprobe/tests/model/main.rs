//! Probes in a simulated guest: several vCPUs that execute A64 instructions out of memory behind a model of stage 2.
//!
//! The model is as unkind as the architecture allows: a vCPU executes instructions that it has fetched before for as
//! long as it has not left the guest, and the others run at every step that management takes.

mod asm;
mod assorted;
mod faults;
mod hidden;
mod in_between;
mod inspected;
mod landing;
mod lifecycle;
mod machine;
mod plain;
mod program;
mod racing;
mod restarting;
mod returning;
mod system;
mod tables;
mod tasks;
mod tlb;
mod trust;
mod vcpu;
mod windows;
mod withdrawing;
