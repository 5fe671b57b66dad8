//! The driver of the testbed's emulated device: registers that read back inverted, and a doorbell.

use core::sync::atomic::{AtomicU32, Ordering};

/// The interrupt that the device raises when its doorbell was rung.
pub(crate) const INTERRUPT: u32 = 42;

const BASE: usize = 0x0a00_0000;
const DOORBELL: usize = 0x10;
const ACKNOWLEDGE: usize = 0x18;
/// The first data register: there is one for each vCPU.
const DATA: usize = 0x100;

static ANSWERS: AtomicU32 = AtomicU32::new(0);

/// Writes `value` to the data register of `vcpu` and tells whether it reads back inverted, as it should.
pub(crate) fn echo(vcpu: u32, value: u32) -> Result<(), u32> {
    let register = DATA + 8 * vcpu as usize;
    write(register, value);
    let answer = read(register);
    if answer == !value {
        Ok(())
    } else {
        Err(answer)
    }
}

/// Asks the device for an interrupt to the executing vCPU.
pub(crate) fn ring_doorbell() {
    write(DOORBELL, 1);
}

/// Answers the device's interrupt.
pub(crate) fn acknowledge() {
    write(ACKNOWLEDGE, 1);
    ANSWERS.fetch_add(1, Ordering::Relaxed);
}

fn read(register: usize) -> u32 {
    let at = (BASE + register) as *const u32;
    // SAFETY: the device's page is mapped, as Device memory, for this driver alone; registers are aligned words.
    unsafe { at.read_volatile() }
}

fn write(register: usize, value: u32) {
    let at = (BASE + register) as *mut u32;
    // SAFETY: as in `read`; writing these registers has no effect on the guest's memory.
    unsafe { at.write_volatile(value) }
}
