//! A map of any kind does the same as a simple model of it, whatever is done to it.
#![no_main]

#[path = "../../crates/axebpf-maps/tests/ops/mod.rs"]
mod ops;
#[path = "../../crates/axebpf-maps/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    ops::run_bytes(bytes);
});
