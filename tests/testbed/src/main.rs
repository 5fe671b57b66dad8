//! A small EL2 hypervisor on QEMU virt: the testbed of axebpf and the reference for how to integrate it.
//!
//! `docs/integration.md` walks through it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod hypervisor;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "axebpf-testbed is a bare-metal image, to be built for aarch64-unknown-none-softfloat; \
         `cargo xtask demo` builds it and runs it under QEMU"
    );
    std::process::ExitCode::FAILURE
}
