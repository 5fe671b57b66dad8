//! Formatted output for the operator, a line at a time.
//!
//! The shell, the guests and the hypervisor itself write to one console from several CPUs. Each collects a line and
//! hands it out as a whole, so that lines do not mix.

use core::fmt::{self, Write};

use super::uart;

/// How many bytes of a line are collected; what is longer goes out in several pieces.
const CAPACITY: usize = 256;

/// The console as a `fmt` writer; a newline becomes carriage return and newline.
///
/// What does not end with a newline goes out when the writer is dropped or [flushed](Self::flush).
pub(crate) struct Console {
    line: [u8; CAPACITY],
    len: usize,
}

impl Console {
    /// Makes a writer that has collected nothing.
    pub(crate) const fn new() -> Self {
        Self {
            line: [0; CAPACITY],
            len: 0,
        }
    }

    /// Adds `text`, and hands out the lines that it ends.
    pub(crate) fn write(&mut self, text: &[u8]) {
        for (number, part) in text.split(|&byte| byte == b'\n').enumerate() {
            if number > 0 {
                self.push(b"\r\n");
                self.flush();
            }
            self.push(part);
        }
    }

    /// Hands out what was collected.
    pub(crate) fn flush(&mut self) {
        uart::write(&self.line[..self.len]);
        self.len = 0;
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.len == CAPACITY {
                self.flush();
            }
            let count = bytes.len().min(CAPACITY - self.len);
            let (now, later) = bytes.split_at(count);
            self.line[self.len..self.len + count].copy_from_slice(now);
            self.len += count;
            bytes = later;
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// Prints one line to the console.
macro_rules! println {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        // The console cannot fail.
        let _ = writeln!($crate::hypervisor::console::Console::new(), $($arg)*);
    }};
}
pub(crate) use println;
