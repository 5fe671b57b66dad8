//! The EL1 guest of the testbed: keeps two virtual CPUs doing everything that leaves a guest.
//!
//! Each vCPU loops about a hundred times a second: it computes a checksum and reports it to the hypervisor, talks to an
//! emulated device and waits for its interrupt, touches memory that is mapped on demand and gives some back, sends the
//! other vCPU an interrupt, and sleeps in `WFI` until its virtual timer wakes it. What starts it can ask for something
//! else instead: see `bench`, `translation` and `hostile`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bench;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod hypercall;
#[cfg(target_os = "none")]
mod interrupt;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod random;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod translation;
#[cfg(target_os = "none")]
mod work;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "axebpf-guest is a bare-metal image, to be built for aarch64-unknown-none-softfloat; \
         `cargo xtask demo` builds it and runs it under QEMU"
    );
    std::process::ExitCode::FAILURE
}
