//! Recording messages.

use axebpf_platform::HostVirt;

use super::call::{HelperFault, Helpers};
use crate::errno::{EBUSY, EINVAL};
use crate::memory::SCRATCH_BYTES;
use crate::printk::{
    Conversion, MAX_PRINTK_ARGS, MAX_PRINTK_FORMAT, MAX_PRINTK_STRING, Piece, Pieces, PrintkRecord,
};

impl Helpers<'_> {
    /// `bpf_trace_printk(fmt, fmt_size, a, b, c)`: returns the length of the format, or a negative error number.
    pub(super) fn trace_printk(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        const {
            assert!(MAX_PRINTK_FORMAT + MAX_PRINTK_ARGS * MAX_PRINTK_STRING <= SCRATCH_BYTES);
        }
        let [format, size, values @ ..] = args;
        let size = u64::from(size as u32);
        if size == 0 || size > MAX_PRINTK_FORMAT as u64 {
            return Ok(EINVAL);
        }
        self.charge(size)?;
        let size = size as usize;
        self.memory.copy_out(format, &mut self.scratch[..size])?;
        let Some(places) = self.string_places(size) else {
            return Ok(EINVAL);
        };
        let mut end = MAX_PRINTK_FORMAT;
        for (value, is_string) in values.iter().zip(places.is_string) {
            if is_string {
                end += self.take_string(*value, end)?;
            }
        }
        let Some(sink) = self.env.printk() else {
            return Ok(size as i64);
        };
        let record = PrintkRecord::new(
            &self.scratch[..size],
            &values[..places.count],
            &self.scratch[MAX_PRINTK_FORMAT..end],
        );
        Ok(sink
            .record(self.guard, record)
            .map_or(EBUSY, |()| size as i64))
    }

    /// Finds out which values of the format are strings; `None` when Linux would refuse the format.
    fn string_places(&self, size: usize) -> Option<Places> {
        let format = &self.scratch[..size];
        if format.last() != Some(&0) {
            return None;
        }
        let mut places = Places {
            is_string: [false; MAX_PRINTK_ARGS],
            count: 0,
        };
        for piece in Pieces::new(format) {
            match piece {
                Piece::Literal(_) => {}
                Piece::Value(_, conversion) => {
                    *places.is_string.get_mut(places.count)? = conversion == Conversion::Str;
                    places.count += 1;
                }
                Piece::Invalid(_) => return None,
            }
        }
        Some(places)
    }

    /// Copies the string at `addr`, of the program or of the hypervisor, to `at` in the scratch memory.
    ///
    /// Returns its length with a terminating NUL. A string that cannot be read is empty from there on.
    fn take_string(&mut self, addr: u64, at: usize) -> Result<usize, HelperFault> {
        for len in 0..MAX_PRINTK_STRING - 1 {
            let byte = &mut self.scratch[at + len..=at + len];
            let from = addr.wrapping_add(len as u64);
            if self.memory.copy_out(from, byte).is_err() {
                // On failure the platform leaves a zero, which ends the string.
                let _ = self.guard.platform().read_memory(HostVirt::new(from), byte);
            }
            if byte[0] == 0 {
                self.charge(len as u64)?;
                return Ok(len + 1);
            }
        }
        self.charge(MAX_PRINTK_STRING as u64)?;
        self.scratch[at + MAX_PRINTK_STRING - 1] = 0;
        Ok(MAX_PRINTK_STRING)
    }
}

/// Which values of a message are strings.
struct Places {
    is_string: [bool; MAX_PRINTK_ARGS],
    count: usize,
}
