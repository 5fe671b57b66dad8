//! The facade of axebpf.
#![no_std]
