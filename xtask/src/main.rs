//! Builds, embeds, runs and tests axebpf.
fn main() {}
