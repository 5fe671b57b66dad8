//! What the facade adds to `axebpf-guestprobe`: the guests by number, their symbols, and how they keep their tasks.

mod error;
mod extent;
mod guest;
mod kernel;
mod placement;
mod points;
mod symbols;
mod task;
mod work;

pub use self::{
    error::GuestError,
    guest::{GuestInfo, GuestSetup},
    symbols::SymbolOrigin,
};
pub(crate) use self::{
    guest::Guest,
    kernel::{Search, pause_ns},
    points::{Place, Places, Wanted},
    task::{TaskLayout, TaskView},
};
