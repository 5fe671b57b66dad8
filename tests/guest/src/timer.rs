//! The virtual timer: it wakes a vCPU about a hundred times a second.

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_TVAL_EL0, Readable, Writeable};

const TICKS_PER_SECOND: u64 = 100;

/// Starts the timer of the executing vCPU.
pub(crate) fn start() {
    restart();
}

/// Sets the timer for its next tick, which also takes back its interrupt.
pub(crate) fn restart() {
    CNTV_TVAL_EL0.set(CNTFRQ_EL0.get() / TICKS_PER_SECOND);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET + CNTV_CTL_EL0::IMASK::CLEAR);
}
