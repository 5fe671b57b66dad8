//! Finding what a Linux kernel knows of itself in a guest's memory, by content.

mod btf;
mod kallsyms;
mod scan;
mod tokens;
mod window;

pub use scan::{KernelScan, KernelScanError, Sought};
