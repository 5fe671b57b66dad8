//! Tracing of the hypervisor itself: where axebpf comes in.

use super::{console::println, platform::PLATFORM};

/// Events that happen before anybody can type a command, and are therefore recorded from the beginning.
const AT_BOOT: [&str; 7] = [
    "vmm:vhal_init",
    "vmm:vmm_init",
    "vmm:cpu_up",
    "vmm:config_load",
    "vmm:image_load",
    "vmm:vm_*",
    "shell:shell_init",
];

/// Installs the platform, prepares the tracepoints, and enables those of the boot.
///
/// Called once, when the image runs at its final mapping, the heap works and interrupts do not fire yet; all later code may
/// pass tracepoints.
pub(crate) fn init() {
    if let Err(error) = axebpf_hit::install(&PLATFORM) {
        println!("tracing does not start: {error}");
        return;
    }
    if let Err(error) = axebpf_tp::init() {
        println!("tracepoints do not work: {error}");
        return;
    }
    let manager = axebpf_tp::TracepointManager::global();
    for name in AT_BOOT {
        if let Err(error) = manager.enable(name) {
            println!("{name} is not recorded: {error}");
        }
    }
}
