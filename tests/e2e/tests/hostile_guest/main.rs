//! A guest that does its worst to whoever probes it: whatever it does, it sees what it would see without probes, the
//! hypervisor goes on, and so does the other guest.

mod cases;
mod duels;
mod ends;
mod fight;
mod programs;
mod text;
