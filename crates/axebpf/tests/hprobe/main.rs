//! Programs at functions of a hypervisor.
#![cfg(all(feature = "hprobe", feature = "precompiled-ebpf"))]

mod errors;
mod machine;
mod programs;
mod shell;
