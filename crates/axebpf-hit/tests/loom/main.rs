//! All interleavings and all memory orders of the protocols, explored by loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p axebpf-hit --release --test loom`
#![cfg(loom)]

mod fence;
mod hit;
mod machine;
