//! All interleavings and all memory orders of the table of returns, explored by loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p axebpf-hprobe --release --test loom`
#![cfg(loom)]

mod machine;
mod returns;
