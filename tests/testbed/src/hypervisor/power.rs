//! Switching the machine off.

use smccc::{Smc, psci};

use super::sysreg;

/// Switches the machine off, by the firmware's PSCI.
pub(crate) fn off() -> ! {
    sysreg::mask_interrupts();
    let _ = psci::system_off::<Smc>();
    loop {
        sysreg::wait_for_interrupt();
    }
}
