//! The probes of one virtual machine.

mod guest;

pub use guest::ProbedGuest;
