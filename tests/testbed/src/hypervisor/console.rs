//! Formatted output for the operator.

use core::fmt::{self, Write};

use super::uart;

/// The console as a `fmt` writer; a newline becomes carriage return and newline.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_text(text.as_bytes());
        Ok(())
    }
}

/// Writes `text` with each newline preceded by a carriage return.
pub(crate) fn write_text(text: &[u8]) {
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if number > 0 {
            uart::write(b"\r\n");
        }
        uart::write(line);
    }
}

/// Prints one line to the console.
macro_rules! println {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        // The console cannot fail.
        let _ = writeln!($crate::hypervisor::console::Console, $($arg)*);
    }};
}
pub(crate) use println;
