//! Deciding whether a place may be probed.

use axebpf_a64::{Execution, classify};
use axebpf_platform::ReadMemory;

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
/// read or displaced.
pub fn inspect(
    point: &ProbePoint,
    memory: &impl ReadMemory,
    blacklist: &Blacklist,
) -> Result<Displaced, HprobeError> {
    let at = point.at();
    blacklist.check(at)?;
    let mut bytes = [0; 4];
    memory.read_memory(at, &mut bytes)?;
    // Instructions are little-endian whatever data is (ARM ARM B2.8.1).
    let word = u32::from_le_bytes(bytes);
    let execution = classify(word).map_err(|why| HprobeError::Refused { at, word, why })?;
    Ok(Displaced {
        point: *point,
        word,
        execution,
    })
}
