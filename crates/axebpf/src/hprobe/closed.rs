//! Which functions are closed to probes, whatever the hypervisor is.

use axebpf_hprobe::Protection;

/// Functions by the glob of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed<S> {
    pub(super) glob: S,
    pub(super) why: Protection,
    pub(super) reach: Reach,
}

/// How far a protection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// These functions.
    Alone,
    /// And all that they call, directly or through others.
    WithCallees,
}

const fn hit_path(glob: &'static str) -> Closed<&'static str> {
    Closed {
        glob,
        why: Protection::HitPath,
        reach: Reach::WithCallees,
    }
}

const fn text_writing(glob: &'static str) -> Closed<&'static str> {
    Closed {
        glob,
        why: Protection::TextWriting,
        reach: Reach::WithCallees,
    }
}

/// What every hypervisor has in common: the crates below, and its own implementations of the platform's traits, which
/// are called through pointers. Handlers are not in it: they run in a hit, where another one is missed and stepped over.
pub(super) const CLOSED: [Closed<&str>; 14] = [
    hit_path("axebpf_hprobe::hit::*"),
    hit_path("axebpf_hprobe::returning::*"),
    hit_path("axebpf_hprobe::step::*"),
    hit_path("axebpf_hit::guard::*"),
    hit_path("<axebpf_hit::guard::*"),
    hit_path("axebpf_hit::per_cpu::*"),
    hit_path("axebpf_a64::*"),
    hit_path("<* as axebpf_platform::*::Cpus>::*"),
    hit_path("<* as axebpf_platform::*::Interrupts>::*"),
    hit_path("<* as axebpf_platform::*::ReadMemory>::*"),
    hit_path("<* as axebpf_platform::*::Clock>::*"),
    text_writing("axebpf_hit::text::*"),
    text_writing("<* as axebpf_platform::*::CoreSync>::*"),
    text_writing("<* as axebpf_platform::*::TextPatch>::*"),
];

/// Where a search ends: what a hit never comes to, although there is a call of it.
pub(super) const NEVER_REACHED: [&str; 3] = [
    "core::panicking::*",
    "*rust_begin_unwind",
    "alloc::alloc::handle_alloc_error",
];
