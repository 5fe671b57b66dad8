//! Deciding whether a place in a guest may be probed.

use axebpf_platform::GuestPhys;

use crate::displace::{Way, way};
use crate::{Access, GuestMemory, GuestProbe, GuestProbeError, Stage1};

/// The instruction at a probe point of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// The probe.
    pub probe: GuestProbe,
    /// Where the instruction is in the guest's memory.
    pub at: GuestPhys,
    /// The instruction as it was read.
    pub word: u32,
    /// How it is to be executed. A guest can step more than a hypervisor can execute out of line.
    pub way: Way,
}

/// Finds out whether `probe` is possible in a guest with the given translation and memory, and how its
/// instruction would be executed.
///
/// Changes nothing. The guest may change its mind at any time after.
/// [`ProbedGuest::attach`](crate::ProbedGuest::attach) decides in the same way, and refuses moreover what depends on
/// the hypervisor and on the instructions around: a step that the mode of the probe cannot have there, a landing pad
/// for `HVC`, and a place in a sequence of exclusives.
///
/// # Errors
///
/// [`GuestProbeError`] if the address is not mapped, is not executable by the guest's kernel, or has an
/// instruction that cannot be read or displaced.
pub fn inspect(
    probe: &GuestProbe,
    stage1: &Stage1,
    memory: &(impl GuestMemory + ?Sized),
) -> Result<Displaced, GuestProbeError> {
    let at = probe.at();
    let found = stage1.translate(memory, at, Access::Fetch)?;
    if !found.rights.privileged_execute() {
        return Err(GuestProbeError::NotExecutable { at });
    }
    let mut bytes = [0; 4];
    memory.read_guest(found.at, &mut bytes)?;
    // Instructions are little-endian whatever data is (ARM ARM B2.8.1).
    let word = u32::from_le_bytes(bytes);
    let way = way(word).map_err(|why| GuestProbeError::Refused { at, word, why })?;
    Ok(Displaced {
        probe: *probe,
        at: found.at,
        word,
        way,
    })
}
