//! The hypercalls of the testbed: SMCCC fast calls in the vendor-specific hypervisor range.

use smccc::hvc64;

const REPORT: u32 = 0xc600_0001;
const RELEASE_PAGE: u32 = 0xc600_0002;
const NOTE: u32 = 0xc600_0003;

/// Something that the hypervisor should know about the guest.
pub(crate) enum Note {
    /// There is no second vCPU.
    Alone = 1,
    /// The guest panicked.
    Panic = 2,
    /// The emulated device answered wrongly.
    BadDevice = 3,
    /// Memory did not hold what was written to it.
    BadMemory = 4,
}

/// Reports the checksum that the executing vCPU computed from `seed`.
pub(crate) fn report(seed: u64, checksum: u64) {
    call(REPORT, seed, checksum);
}

/// Gives the page at guest-physical address `page` back to the hypervisor.
pub(crate) fn release_page(page: u64) {
    call(RELEASE_PAGE, page, 0);
}

/// Tells the hypervisor about `note`.
pub(crate) fn note(note: Note) {
    call(NOTE, note as u64, 0);
}

fn call(function: u32, first: u64, second: u64) {
    let mut args = [0; 17];
    args[0] = first;
    args[1] = second;
    hvc64(function, args);
}
