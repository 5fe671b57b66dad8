//! Probes on code that a simulated machine executes, with threads as its CPUs and caches that keep stale instructions
//! for as long as they may.

mod caches;
mod cpu;
mod lifecycle;
mod machine;
mod order;
