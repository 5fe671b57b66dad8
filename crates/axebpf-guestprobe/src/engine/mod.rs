//! The probes of one virtual machine.
//!
//! `guest` holds them together; `attach`, `deferred` and `links` are management, on what `state` holds; `exit`, `fault`
//! and `hit` are what happens on behalf of a vCPU. `place` finds where a point can be, and `text` changes the text and
//! the mappings of its `page`, `rearm` after the guest has done so. `point` is what hits read, in maps that are
//! `sorted`; `slot` is what is remembered of a vCPU, `calls` of calls that have not returned, and `sites` of the places
//! to which they return. `stage` is how far the guest's system has come, `attention` whether exits matter at all, and
//! `access` its memory as a simulated instruction sees it; `withdraw` is for what can neither be simulated nor stepped.

mod access;
mod attach;
mod attention;
mod calls;
mod deferred;
mod exit;
mod fault;
mod guest;
mod hit;
mod links;
mod page;
mod place;
mod point;
mod rearm;
mod sites;
mod slot;
mod sorted;
mod stage;
mod state;
mod text;
mod withdraw;

pub use guest::{GuestStatistics, ProbedGuest};
pub use links::LinkState;
pub use point::{GuestCounts, GuestLinkId};
pub use stage::GuestStage;
