//! Formatting into the program's memory.

use super::call::{HelperFault, Helpers};
use super::printk::STRINGS;
use crate::errno::EINVAL;
use crate::memory::{Memory, Violation};
use crate::printk::{MAX_PRINTK_FORMAT, Output, Pieces, render};

impl Helpers<'_> {
    /// `bpf_snprintf(str, str_size, fmt, data, data_len)`: returns the length that the text has with its terminating
    /// NUL, also when it was cut to fit.
    pub(super) fn snprintf(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [to, size, format, data, data_len] = args;
        let size = u64::from(size as u32);
        if size != 0 {
            self.memory.check_writable(to, size)?;
        }
        let Some(values) = self.take_values(data, data_len)? else {
            return Ok(EINVAL);
        };
        let Some(format_len) = self.take_format(format)? else {
            return Ok(EINVAL);
        };
        let Some(message) = self.take_message(format_len, values)? else {
            return Ok(EINVAL);
        };
        let mut out = Bounded {
            memory: &mut self.memory,
            to,
            room: size.saturating_sub(1),
            len: 0,
        };
        let pieces = Pieces::new(&self.scratch[..format_len]);
        let strings = &self.scratch[STRINGS..message.end];
        render(pieces, message.values.as_slice(), strings, &mut out)?;
        let len = out.len;
        self.charge(len)?;
        if size != 0 {
            let end = len.min(size - 1);
            self.memory.copy_in(to + end, &[0])?;
        }
        Ok(len as i64 + 1)
    }

    /// Copies a format of the program's, with its terminating NUL, to the start of the scratch memory.
    ///
    /// `None` when it has no end within the longest possible format.
    fn take_format(&mut self, format: u64) -> Result<Option<usize>, HelperFault> {
        for at in 0..MAX_PRINTK_FORMAT {
            let byte = &mut self.scratch[at..=at];
            self.memory.copy_out(format.wrapping_add(at as u64), byte)?;
            if byte[0] == 0 {
                self.charge(at as u64)?;
                return Ok(Some(at + 1));
            }
        }
        Ok(None)
    }
}

/// Writes to the program's memory, and no further than there is room.
struct Bounded<'m, 'r> {
    memory: &'m mut Memory<'r>,
    to: u64,
    room: u64,
    /// The length of the text so far, also of what had no room.
    len: u64,
}

impl Output for Bounded<'_, '_> {
    type Error = Violation;

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let fits = self.room.saturating_sub(self.len).min(bytes.len() as u64);
        let fitting = bytes.get(..fits as usize).unwrap_or(bytes);
        if !fitting.is_empty() {
            self.memory.copy_in(self.to + self.len, fitting)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}
