//! Messages as words.
//!
//! A record is the time, the program, whose code it was attached to, one word with the lengths of what follows (format
//! in bytes, arguments in number, strings in bytes; 16 bits each), the arguments, then the format and the strings,
//! eight bytes a word, each part filled up with zeroes.

use alloc::{string::ToString, vec::Vec};

use axebpf_platform::{CpuId, VmId};
use axebpf_vm::{AddressNames, PrintkRecord};

use super::{
    PrintkLine,
    ring::{RECORD_WORDS, Ring},
};
use crate::{Origin, ProgramId};

/// The words before the arguments.
const FIXED: usize = 4;

/// The bytes that one word holds.
const WORD: usize = size_of::<u64>();

/// The most arguments of a message that are kept.
const MAX_ARGS: usize = 12;

/// The most bytes of a message's format that are kept.
const MAX_FORMAT: usize = 512;

/// The most bytes of a message's strings that are kept: what is left of a record.
const MAX_TEXT: usize = (RECORD_WORDS - 1 - FIXED - MAX_ARGS) * WORD - MAX_FORMAT;

/// The mark of a guest, above its number.
const GUEST: u64 = 1 << 32;

/// Who printed a message, and when.
pub(super) struct Head {
    pub(super) time_ns: u64,
    pub(super) program: ProgramId,
    pub(super) origin: Origin,
}

/// Writes one message. What does not fit is cut off.
pub(super) fn encode(ring: &Ring, head: &Head, record: &PrintkRecord<'_>) {
    let format = cut(record.format(), MAX_FORMAT);
    let args = &record.args()[..record.args().len().min(MAX_ARGS)];
    let text = cut(record.text(), MAX_TEXT);
    let lengths = format.len() as u64 | (args.len() as u64) << 16 | (text.len() as u64) << 32;
    let len = FIXED + args.len() + format.len().div_ceil(WORD) + text.len().div_ceil(WORD);
    let origin = match head.origin {
        Origin::Hypervisor => 0,
        Origin::Guest(vm) => GUEST | u64::from(vm.get()),
    };
    let words = [head.time_ns, head.program.get(), origin, lengths]
        .into_iter()
        .chain(args.iter().copied())
        .chain(packed(format))
        .chain(packed(text));
    ring.write(len, words);
}

fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    &bytes[..bytes.len().min(limit)]
}

fn packed(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(WORD).map(|chunk| {
        let mut word = [0; WORD];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    })
}

/// A message that is not text yet.
pub(super) struct Message {
    pub(super) time_ns: u64,
    pub(super) origin: Origin,
    cpu: CpuId,
    program: ProgramId,
    format: Vec<u8>,
    args: Vec<u64>,
    text: Vec<u8>,
}

impl Message {
    /// Takes a record apart; `None` if it is none.
    pub(super) fn decode(cpu: CpuId, words: &[u64]) -> Option<Self> {
        let (&[time_ns, program, origin, lengths], rest) = words.split_first_chunk()?;
        let length = |shift: u32| usize::from((lengths >> shift) as u16);
        let (args, rest) = rest.split_at_checked(length(16))?;
        let (format, rest) = rest.split_at_checked(length(0).div_ceil(WORD))?;
        Some(Self {
            time_ns,
            origin: match origin {
                0 => Origin::Hypervisor,
                guest => Origin::Guest(VmId::new(guest as u32)),
            },
            cpu,
            program: ProgramId::new(program),
            format: unpacked(format, length(0)),
            args: args.to_vec(),
            text: unpacked(rest, length(32)),
        })
    }

    /// Makes text of it, with names for its addresses if there are some.
    pub(super) fn line(&self, names: Option<&dyn AddressNames>) -> PrintkLine {
        let record = PrintkRecord::new(&self.format, &self.args, &self.text);
        let text = match names {
            Some(names) => record.with_names(names).to_string(),
            None => record.to_string(),
        };
        PrintkLine {
            time_ns: self.time_ns,
            cpu: self.cpu,
            program: self.program,
            origin: self.origin,
            text: text.trim_end_matches(['\n', '\r']).into(),
        }
    }
}

fn unpacked(words: &[u64], len: usize) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .take(len)
        .collect()
}
