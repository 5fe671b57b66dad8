//! Deciding whether a place may be probed.

use axebpf_a64::{Execution, Insn, Literal, classify};
use axebpf_platform::{HostVirt, ReadFault, ReadMemory};

use crate::exclusive::sequence_at;
use crate::{Blacklist, HprobeError, ProbePoint};

/// The instruction at a probe point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// Where it is.
    pub point: ProbePoint,
    /// The instruction as it was read.
    pub word: u32,
    /// How it is to be executed.
    pub execution: Execution,
}

/// Finds out whether `point` may be probed, and how its instruction would be executed.
///
/// Changes nothing.
///
/// # Errors
///
/// [`HprobeError`] if the place is not text, is on the `blacklist`, or has an instruction that cannot be
/// read or displaced, or is within an exclusive sequence.
pub fn inspect(
    point: &ProbePoint,
    memory: &(impl ReadMemory + ?Sized),
    blacklist: &Blacklist,
) -> Result<Displaced, HprobeError> {
    let at = point.at();
    if !at.is_aligned(4) {
        return Err(HprobeError::Misaligned { at });
    }
    blacklist.check(at)?;
    let mut bytes = [0; 4];
    memory.read_memory(at, &mut bytes)?;
    // Instructions are little-endian whatever data is (ARM ARM B2.8.1).
    let word = u32::from_le_bytes(bytes);
    let execution = classify(word).map_err(|why| HprobeError::Refused { at, word, why })?;
    if let Some(load) = sequence_at(blacklist.text(), at, memory)? {
        return Err(HprobeError::InExclusiveSequence { at, load });
    }
    if let Execution::Simulate(insn) = execution {
        check_literal(insn, at, memory)?;
    }
    Ok(Displaced {
        point: *point,
        word,
        execution,
    })
}

/// Checks that what `insn`, at `at`, loads from near it can be read, so that a hit need not fear a fault.
fn check_literal(
    insn: Insn,
    at: HostVirt,
    memory: &(impl ReadMemory + ?Sized),
) -> Result<(), ReadFault> {
    let Insn::LoadLiteral {
        literal, offset, ..
    } = insn
    else {
        return Ok(());
    };
    let len = match literal {
        Literal::Doubleword => 8,
        Literal::Word | Literal::SignedWord => 4,
    };
    let from = HostVirt::new(at.get().wrapping_add_signed(offset));
    memory.read_memory(from, &mut [0; 8][..len])
}
