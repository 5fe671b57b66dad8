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

/// What every hypervisor has in common: the way from a trap to the handlers and back, and its own implementations of
/// the platform's traits, which are called through pointers. Handlers are not in it: another hit in them is missed, and
/// stepped over.
pub(super) const CLOSED: [Closed<&str>; 12] = [
    hit_path("axebpf_hprobe::hit::handle_*"),
    hit_path("axebpf_hit::guard::enter*"),
    hit_path("<axebpf_hit::guard::HitGuard as *>::drop"),
    hit_path("axebpf_read_*"),
    hit_path("axebpf_store_*"),
    hit_path("<* as axebpf_platform::traits::Clock>::*"),
    hit_path("<* as axebpf_platform::traits::Cpus>::*"),
    hit_path("<* as axebpf_platform::traits::Interrupts>::*"),
    hit_path("<* as axebpf_platform::traits::ReadMemory>::*"),
    text_writing("axebpf_hit::text::*"),
    text_writing("<* as axebpf_platform::traits::CoreSync>::*"),
    text_writing("<* as axebpf_platform::traits::TextPatch>::*"),
];

/// Where a search ends: what a hit never comes to, although there is a call of it. Memory is allocated before text is
/// written, and freed after that.
pub(super) const NEVER_REACHED: [&str; 6] = [
    "core::panicking::*",
    "core::slice::index::slice_*",
    "__rustc::__rust_*",
    "__rustc::rust_begin_unwind",
    "alloc::*",
    "<alloc::*",
];
