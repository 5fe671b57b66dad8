//! Places where a trap would make a store-exclusive fail for ever.

use alloc::vec::Vec;
use core::ops::Range;

use axebpf_a64::exclusive_sequence;
use axebpf_platform::{HostVirt, ReadFault, ReadMemory};

/// How many bytes before and after a place are looked at, which is as far as `axebpf-a64` looks.
const REACH: u64 = 4 * 64;

/// Returns the load-exclusive to whose sequence the instruction at `at` belongs, if there is one.
///
/// What is before the function is looked at, too: where a function starts is what somebody says, and a label within
/// a sequence may be taken for a function. The way from one function into the next is not a way of the program, and has
/// an end.
pub(crate) fn sequence_at(
    text: &Range<HostVirt>,
    at: HostVirt,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<Option<HostVirt>, ReadFault> {
    let at = at.get();
    let start = at.saturating_sub(REACH).max(text.start.get() & !3);
    let end = at.saturating_add(REACH + 4).min(text.end.get());
    let mut bytes = [0; 2 * REACH as usize + 4];
    let bytes = &mut bytes[..(end.saturating_sub(start) & !3) as usize];
    memory.read_memory(HostVirt::new(start), bytes)?;
    let (words, _) = bytes.as_chunks();
    let words: Vec<_> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let sequence = exclusive_sequence(&words, (at.saturating_sub(start) / 4) as usize);
    Ok(sequence.map(|sequence| HostVirt::new(start + 4 * sequence.load as u64)))
}
