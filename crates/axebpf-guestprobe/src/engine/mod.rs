//! The probes of one virtual machine.
//!
//! `guest` holds them together; `attach`, `deferred` and `links` are management, on what `state` holds; `exit` and
//! `hit` are what happens on behalf of a vCPU. `page` changes text and mappings, `point` is what hits read, `slot` is
//! what is remembered of a vCPU, `returns` of a call, and `sites` of the places to which calls return. `stage` is how
//! far the guest's system has come, and `access` its memory as a simulated instruction sees it.

mod access;
mod attach;
mod deferred;
mod exit;
mod guest;
mod hit;
mod links;
mod page;
mod point;
mod returns;
mod sites;
mod slot;
mod stage;
mod state;

pub use guest::{GuestStatistics, ProbedGuest};
pub use links::LinkState;
pub use point::{GuestCounts, GuestLinkId};
pub use stage::GuestStage;
