//! The hypercalls of the testbed: SMCCC fast calls in the vendor-specific hypervisor range.

use core::fmt;

use smccc::hvc64;

const REPORT: u32 = 0xc600_0001;
const RELEASE_PAGE: u32 = 0xc600_0002;
const NOTE: u32 = 0xc600_0003;
const CHECK_TRANSLATION: u32 = 0xc600_0004;

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

/// What came of comparing the hypervisor's walker with the processor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TranslationTally {
    /// Addresses that were checked.
    pub(crate) checked: u64,
    /// Those that are mapped.
    pub(crate) mapped: u64,
    /// Those whose tables lie outside of memory.
    pub(crate) outside: u64,
    /// Those on which walker and processor disagree.
    pub(crate) wrong: u64,
    /// Those that programs could read, if their range were not closed to them.
    pub(crate) closed: u64,
    /// Addresses that were not checked, because what becomes of them is the processor's to say.
    pub(crate) undecided: u64,
}

impl TranslationTally {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.checked += other.checked;
        self.mapped += other.mapped;
        self.outside += other.outside;
        self.wrong += other.wrong;
        self.closed += other.closed;
        self.undecided += other.undecided;
    }
}

impl fmt::Display for TranslationTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} checked, {} mapped, {} outside, {} closed, {} wrong, {} undecided",
            self.checked, self.mapped, self.outside, self.closed, self.wrong, self.undecided
        )
    }
}

/// Has the hypervisor compare its walker with the processor for the `count` addresses of the request at `at`.
pub(crate) fn check_translation(at: u64, count: u64) -> TranslationTally {
    let results = call(CHECK_TRANSLATION, at, count);
    TranslationTally {
        checked: results[1],
        mapped: results[2],
        outside: results[3],
        wrong: results[4],
        closed: results[5],
        undecided: results[6],
    }
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

fn call(function: u32, first: u64, second: u64) -> [u64; 18] {
    let mut args = [0; 17];
    args[0] = first;
    args[1] = second;
    hvc64(function, args)
}
