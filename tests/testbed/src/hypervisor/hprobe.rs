//! Probes on the hypervisor itself: what may be probed, and how.

use core::ops::Range;

use aarch64_cpu::registers::{ID_AA64PFR1_EL1, Readable};
use axebpf::{
    HprobeSetup,
    platform::{HostVirt, arch},
    probe::hprobe::{BranchTargets, MemoryFault, Protection, SigningKey},
    symbols::SymbolTable,
};

use super::{console::println, image, vectors, world};

/// Says what may be probed. Needs the symbols, the MMU, and axebpf.
pub(crate) fn init(symbols: &'static SymbolTable<'static>) {
    let installed = HprobeSetup::new(symbols, range(image::text()))
        .close_range(range(vectors::text()), Protection::TrapEntry)
        .close_range(range(world::text()), Protection::TrapEntry)
        .close_reachable(
            "axebpf_testbed::hypervisor::vectors::handle_synchronous",
            Protection::HitPath,
        )
        .never_reached("axebpf_testbed::hypervisor::vectors::die")
        .with_branch_targets(branch_targets())
        .with_store(store)
        .with_signing(sign)
        .install();
    if let Err(error) = installed {
        println!("no probes on the hypervisor: {error}");
    }
}

fn range(range: Range<u64>) -> Range<HostVirt> {
    HostVirt::new(range.start)..HostVirt::new(range.end)
}

/// Says what indirect branches have to find. No page is guarded.
fn branch_targets() -> BranchTargets {
    const BT: u64 = 0xf;
    if ID_AA64PFR1_EL1.get() & BT == 0 {
        BranchTargets::Unimplemented
    } else {
        BranchTargets::Unguarded
    }
}

/// Stores as the interrupted code would.
///
/// # Safety
///
/// The interrupted code is about to store there.
unsafe fn store(addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
    // SAFETY: the caller says that the interrupted code is about to do the same.
    let stored = unsafe { arch::store(addr, bytes) };
    stored.then_some(()).ok_or(MemoryFault { addr })
}

/// Signs an address as the interrupted code would.
fn sign(key: SigningKey, address: u64, modifier: u64) -> u64 {
    match key {
        SigningKey::A => arch::sign_with_a(address, modifier),
        SigningKey::B => arch::sign_with_b(address, modifier),
    }
}
