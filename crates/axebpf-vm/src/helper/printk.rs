//! Recording messages, and taking formats and their values from a program.

use super::call::{HelperFault, Helpers};
use super::foreign::Origin;
use super::ip;
use crate::errno::{EBUSY, EINVAL};
use crate::memory::SCRATCH_BYTES;
use crate::printk::{
    Conversion, MAX_PRINTK_ARGS, MAX_PRINTK_FORMAT, MAX_PRINTK_STRING, Piece, Pieces, PrintkRecord,
};

/// Where in the scratch memory the strings of a message start; its format is before them.
pub(super) const STRINGS: usize = MAX_PRINTK_FORMAT;

/// Where in the scratch memory is room that no message takes.
pub(super) const FREE: usize = STRINGS + MAX_PRINTK_ARGS * MAX_PRINTK_STRING;

const _: () = assert!(FREE <= SCRATCH_BYTES);

/// The values of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    values: [u64; MAX_PRINTK_ARGS],
    count: usize,
}

impl Values {
    pub(super) fn new(given: &[u64]) -> Self {
        let mut values = [0; MAX_PRINTK_ARGS];
        let count = given.len().min(values.len());
        values[..count].copy_from_slice(&given[..count]);
        Self { values, count }
    }

    pub(super) fn as_slice(&self) -> &[u64] {
        &self.values[..self.count]
    }
}

/// What the values of a format are.
struct Places {
    conversions: [Option<Conversion>; MAX_PRINTK_ARGS],
    count: usize,
}

impl Places {
    /// Finds out what the format has; `None` when Linux would refuse it.
    fn of(format: &[u8]) -> Option<Self> {
        if format.last() != Some(&0) {
            return None;
        }
        let mut places = Self {
            conversions: [None; MAX_PRINTK_ARGS],
            count: 0,
        };
        for piece in Pieces::new(format) {
            match piece {
                Piece::Literal(_) => {}
                Piece::Value(_, conversion) => {
                    *places.conversions.get_mut(places.count)? = Some(conversion);
                    places.count += 1;
                }
                Piece::Invalid(_) => return None,
            }
        }
        Some(places)
    }
}

impl Helpers<'_> {
    /// `bpf_trace_printk(fmt, fmt_size, a, b, c)`: returns the length of the format, or a negative error number.
    pub(super) fn trace_printk(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [format, size, values @ ..] = args;
        self.print(format, size, Values::new(&values))
    }

    /// `bpf_trace_vprintk(fmt, fmt_size, data, data_len)`: as `trace_printk`, with the values in memory.
    pub(super) fn trace_vprintk(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [format, size, data, len, _] = args;
        match self.take_values(data, len)? {
            Some(values) => self.print(format, size, values),
            None => Ok(EINVAL),
        }
    }

    fn print(&mut self, format: u64, size: u64, given: Values) -> Result<i64, HelperFault> {
        let size = u64::from(size as u32);
        if size == 0 || size > MAX_PRINTK_FORMAT as u64 {
            return Ok(EINVAL);
        }
        self.charge(size)?;
        let size = size as usize;
        self.memory.copy_out(format, &mut self.scratch[..size])?;
        let Some(message) = self.take_message(size, given)? else {
            return Ok(EINVAL);
        };
        let Some(sink) = self.env.printk() else {
            return Ok(size as i64);
        };
        let record = PrintkRecord::new(
            &self.scratch[..size],
            message.values.as_slice(),
            &self.scratch[STRINGS..message.end],
        );
        Ok(sink
            .record(self.guard, record)
            .map_or(EBUSY, |()| size as i64))
    }

    /// Takes an array of values; `None` when it has no possible length.
    pub(super) fn take_values(
        &mut self,
        data: u64,
        len: u64,
    ) -> Result<Option<Values>, HelperFault> {
        let len = u64::from(len as u32);
        if !len.is_multiple_of(8) || len > 8 * MAX_PRINTK_ARGS as u64 {
            return Ok(None);
        }
        let mut bytes = [0; 8 * MAX_PRINTK_ARGS];
        let taken = &mut bytes[..len as usize];
        self.memory.copy_out(data, taken)?;
        let (words, _) = taken.as_chunks();
        let mut values = Values::new(&[]);
        for (value, word) in values.values.iter_mut().zip(words) {
            *value = u64::from_le_bytes(*word);
        }
        values.count = words.len();
        Ok(Some(values))
    }

    /// Takes the strings of a message whose format is at the start of the scratch memory.
    ///
    /// `None` when Linux would refuse the format, or there are fewer values than it needs.
    pub(super) fn take_message(
        &mut self,
        format_len: usize,
        given: Values,
    ) -> Result<Option<Message>, HelperFault> {
        let Some(places) = Places::of(&self.scratch[..format_len]) else {
            return Ok(None);
        };
        if places.count > given.count {
            return Ok(None);
        }
        let values = Values::new(&given.as_slice()[..places.count]);
        let mut end = STRINGS;
        for (value, conversion) in values.as_slice().iter().zip(places.conversions) {
            match conversion {
                Some(Conversion::Str) => end += self.read_string(*value, end, MAX_PRINTK_STRING)?,
                Some(Conversion::Ip(form)) => {
                    let mut address = [0; 16];
                    let len = ip::len(form);
                    // What cannot be read is the address of zeroes, as in Linux.
                    if self.read_foreign(*value, end, len, Origin::Program).is_ok() {
                        address[..len].copy_from_slice(&self.scratch[end..end + len]);
                    }
                    end += ip::write(form, address, &mut self.scratch[end..]);
                }
                _ => {}
            }
        }
        Ok(Some(Message { values, end }))
    }
}

/// The values of a message, as many as its format has, and the end of its strings in the scratch memory.
pub(super) struct Message {
    pub(super) values: Values,
    pub(super) end: usize,
}
