//! The guest's self-check: it reports what it computed, and the hypervisor computes it too.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use axebpf::platform::VcpuId;

/// What the guest of one VM has reported.
#[derive(Debug)]
pub(crate) struct Checks {
    vcpus: u32,
    right: AtomicU64,
    wrong: AtomicU64,
    /// Which vCPUs have reported something right since the boot, one bit each.
    passed: AtomicU32,
    announced: AtomicBool,
}

/// What is said about one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is right.
    Right,
    /// It is right, and with it each vCPU has reported something right. Said once for each boot.
    AllPassed,
    /// It is wrong.
    Wrong,
}

impl Checks {
    /// Makes the record of a VM with so many vCPUs.
    pub(crate) fn new(vcpus: u32) -> Self {
        Self {
            vcpus,
            right: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            passed: AtomicU32::new(0),
            announced: AtomicBool::new(false),
        }
    }

    /// Starts over with what is said once for each boot.
    pub(crate) fn restart(&self) {
        self.passed.store(0, Ordering::Relaxed);
        self.announced.store(false, Ordering::Relaxed);
    }

    /// Returns how many reports were right.
    pub(crate) fn right(&self) -> u64 {
        self.right.load(Ordering::Relaxed)
    }

    /// Returns how many reports were wrong.
    pub(crate) fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Checks that `checksum` is what `seed` leads to.
    pub(crate) fn take(&self, vcpu: VcpuId, seed: u64, checksum: u64) -> Verdict {
        if expected(seed) != checksum {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            return Verdict::Wrong;
        }
        self.right.fetch_add(1, Ordering::Relaxed);
        let bit = 1_u32 << vcpu.get();
        let passed = self.passed.fetch_or(bit, Ordering::AcqRel) | bit;
        let all = passed.count_ones() == self.vcpus;
        if all && !self.announced.swap(true, Ordering::AcqRel) {
            Verdict::AllPassed
        } else {
            Verdict::Right
        }
    }
}

/// Computes FNV-1a over a thousand steps of a linear congruential generator, started at `seed`.
fn expected(seed: u64) -> u64 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;
    const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x100_0000_01b3;
    let mut state = seed;
    (0..1000).fold(FNV_BASIS, |hash, _| {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        (hash ^ (state >> 56)).wrapping_mul(FNV_PRIME)
    })
}
