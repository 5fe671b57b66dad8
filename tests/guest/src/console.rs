//! The serial line of the virtual machine: a PL011 that the hypervisor emulates.

use core::fmt::{self, Write};

const BASE: usize = 0x0900_0000;
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const RECEIVE_EMPTY: u32 = 1 << 4;

/// What the hypervisor shows of this guest.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            write(DATA, byte.into());
        }
        Ok(())
    }
}

/// Writes a line to the console.
macro_rules! println {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        // The console cannot fail.
        let _ = writeln!($crate::console::Console, $($argument)*);
    }};
}

pub(crate) use println;

/// Returns what was typed next, if anything was.
pub(crate) fn read_byte() -> Option<u8> {
    (read(FLAGS) & RECEIVE_EMPTY == 0).then(|| read(DATA) as u8)
}

fn read(register: usize) -> u32 {
    let at = (BASE + register) as *const u32;
    // SAFETY: the device's page is mapped, as Device memory; registers are aligned words.
    unsafe { at.read_volatile() }
}

fn write(register: usize, value: u32) {
    let at = (BASE + register) as *mut u32;
    // SAFETY: as in `read`; writing these registers has no effect on the guest's memory.
    unsafe { at.write_volatile(value) }
}
