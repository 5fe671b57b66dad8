//! Tracing of the hypervisor itself: where axebpf comes in.

use axebpf::{
    Axebpf,
    symbols::{SymbolTable, reserve_symbol_section},
    tracepoint::TracepointManager,
};
use spin::Once;

use super::{
    console::println,
    hprobe,
    platform::{PLATFORM, TestbedPlatform},
};

reserve_symbol_section! {
    /// The symbols of this image, which `cargo xtask ksyms` puts here after the link.
    static SYMBOLS: 1 << 20;
}

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

static AXEBPF: Once<Axebpf<TestbedPlatform>> = Once::new();
static SYMBOL_TABLE: Once<SymbolTable<'static>> = Once::new();

/// Makes the root object, and enables the tracepoints of the boot.
///
/// Called once, when the image runs at its final mapping, the heap works and the CPU knows its number; all later code
/// may pass tracepoints. Tracing is no reason not to boot: what goes wrong is said, and the rest goes on.
pub(crate) fn init() {
    match Axebpf::new(&PLATFORM) {
        Ok(axebpf) => AXEBPF.call_once(|| axebpf),
        Err(error) => return println!("axebpf does not start: {error}"),
    };
    match SYMBOLS.open() {
        Ok(table) => {
            hprobe::init(SYMBOL_TABLE.call_once(|| table));
        }
        Err(error) => println!("no symbols: {error}"),
    }
    let manager = TracepointManager::global();
    for name in AT_BOOT {
        if let Err(error) = manager.enable(name) {
            println!("{name} is not recorded: {error}");
        }
    }
}

/// Returns the root object, if it could be made.
pub(crate) fn axebpf() -> Option<&'static Axebpf<TestbedPlatform>> {
    AXEBPF.get()
}

/// Returns the symbols of this image, if the image has them.
pub(crate) fn symbols() -> Option<&'static SymbolTable<'static>> {
    SYMBOL_TABLE.get()
}
