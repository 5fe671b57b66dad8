//! How far the guest's system has come.

use core::sync::atomic::{AtomicU8, Ordering};

/// How far a guest's system has come since it was started, as far as its vCPUs have shown.
///
/// What a probe has to wait for. A Linux kernel looks for the places that its own tracer patches in `ftrace_init`, and
/// replaces instructions by those that its processor is better served with (`apply_boot_alternatives` in
/// `smp_prepare_boot_cpu`, `apply_alternatives_all` when all processors are up). It does both before it has a process
/// that executes anything at EL0: `start_kernel` calls `ftrace_init` long before there is a task for `kernel_init`, and
/// that brings the processors up (`smp_init`) before the initcalls that may start a helper, and before `init`
/// (init/main.c).
///
/// A guest whose kernel is in the lower half of its addresses stays at [`Off`](Self::Off); ask
/// [`ProbedGuest::stage1`](crate::ProbedGuest::stage1) instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GuestStage {
    /// Translation was never enabled.
    #[default]
    Off,
    /// A vCPU was in the kernel with translation enabled and its vectors in the upper half: the kernel is at its
    /// final place. Its text may still be about to change, and a `BRK` in plain sight at the start of a function
    /// makes a Linux kernel give up its own tracer.
    Kernel,
    /// Since then, a vCPU was at EL0 with translation enabled.
    User,
}

/// A stage that vCPUs advance.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    pub(super) fn get(&self) -> GuestStage {
        match self.0.load(Ordering::Relaxed) {
            0 => GuestStage::Off,
            1 => GuestStage::Kernel,
            _ => GuestStage::User,
        }
    }

    /// Takes note of the stage that follows `from`, unless another vCPU has shown one as far.
    pub(super) fn advance(&self, from: GuestStage) {
        let next = match from {
            GuestStage::Off => GuestStage::Kernel,
            GuestStage::Kernel | GuestStage::User => GuestStage::User,
        };
        self.0.fetch_max(next as u8, Ordering::Relaxed);
    }

    /// Goes back to the beginning. No vCPU runs.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
