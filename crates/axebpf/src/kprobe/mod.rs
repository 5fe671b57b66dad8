//! What the facade adds to `axebpf-guestprobe`: the guests by number, their symbols, and how they keep their tasks.

mod error;
mod guest;
mod points;
mod task;

pub use self::{
    error::GuestError,
    guest::{GuestInfo, GuestSetup},
};
pub(crate) use self::{
    guest::Guest,
    points::{Place, Places, Wanted, places},
    task::{TaskLayout, TaskView},
};
