//! Probes on functions of this process, whose breakpoints are signals.
//!
//! Nothing is simulated here: the text of the test is written, and traps.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod allocations;
mod code;
mod entry;
mod process;
mod refusals;
mod returns;
mod stress;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axebpf_hprobe::native::PtRegs;
use axebpf_hprobe::{HprobeHandler, HprobeHit};

/// Keeps what it is told.
#[derive(Default)]
struct Recorder {
    hits: Mutex<Vec<(PtRegs, Option<u64>)>>,
    /// What the next entry hands to its return.
    data: AtomicU64,
}

impl Recorder {
    fn take(&self) -> Vec<(PtRegs, Option<u64>)> {
        std::mem::take(&mut self.hits.lock().unwrap())
    }
}

impl HprobeHandler<PtRegs> for Recorder {
    fn hit(&self, hit: &HprobeHit<'_, PtRegs>) {
        // The lock and the memory are this test's alone, so the hit is not in the middle of either.
        let data = hit.entered.map(|entered| entered.data);
        self.hits.lock().unwrap().push((*hit.regs, data));
    }

    fn entry(&self, _hit: &HprobeHit<'_, PtRegs>) -> Option<u64> {
        Some(self.data.fetch_add(1, Ordering::Relaxed))
    }
}

/// Does nothing: the link counts.
struct Ignore;

impl HprobeHandler<PtRegs> for Ignore {
    fn hit(&self, _hit: &HprobeHit<'_, PtRegs>) {}
}
