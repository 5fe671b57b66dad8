//! Which features are built together.

/// What the host's checks are built with, beyond the default features. `axhal` cannot be: it needs a bare aarch64
/// machine, for which `cargo xtask check-bare-metal` checks it.
pub(crate) const HOST: &str = "axebpf/precompiled-ebpf,axebpf/guest-kprobe,axebpf-platform/mock,\
     axebpf-hprobe/kprobe,axebpf-symbols/encode,axebpf-vm/rbpf";

/// The adapters to other tracepoint crates, which change how tracepoints work on the host.
pub(crate) const ADAPTERS: &str = "axebpf-tp/static-keys,axebpf-tp/ktracepoint";

/// The combinations that users of the facade choose, without the default features.
pub(crate) const FACADE: [&str; 8] = [
    "",
    "symbols",
    "tracepoint-support",
    "runtime",
    "runtime,symbols",
    "runtime,precompiled-ebpf",
    "hprobe",
    "runtime,precompiled-ebpf,guest-kprobe",
];
