//! Where displaced instructions are executed, and the memory for that.
//!
//! A slot has two halves: the instruction and the way on. An instruction that was interrupted with IRQ and FIQ masked
//! is executed in the first half with its own processor state, and a branch leads on. Any other is executed in the
//! second half, with interrupts masked, and a `BRK` leads on by way of a second trap, which puts the masks back. So no
//! interrupt ever finds a program counter in a slot, and no fence completes while a CPU is in one: a slot can be
//! rewritten, which takes a fence, as soon as nobody is sent there any more.

use alloc::vec::Vec;

use axebpf_platform::{ExecRegion, HostVirt, Platform};

use crate::HprobeError;
use crate::trap::BrkImmediate;

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: u64 = 16;
/// Where the second half begins.
pub(crate) const MASKED_HALF: u64 = 8;
/// How much executable memory is asked for at a time: a page.
const REGION_BYTES: usize = 4096;

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    at: HostVirt,
}

impl Slot {
    /// Returns where it starts.
    pub(crate) fn start(self) -> HostVirt {
        self.at
    }

    /// Returns the text of the slot for the instruction `word` that was displaced from `from`.
    pub(crate) fn text(self, word: u32, from: u64) -> [u8; SLOT_BYTES as usize] {
        let end = BrkImmediate::SlotEnd.instruction();
        let on = branch(self.at.get().wrapping_add(4), from.wrapping_add(4)).unwrap_or(end);
        let mut text = [0; SLOT_BYTES as usize];
        for (bytes, word) in text.chunks_exact_mut(4).zip([word, on, word, end]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        text
    }
}

/// Encodes `B` from `from` to `to`, if it reaches there: 128 MiB either way (ARM ARM C6.2.26).
fn branch(from: u64, to: u64) -> Option<u32> {
    const REACH: i64 = 1 << 27;
    let offset = to.wrapping_sub(from).cast_signed();
    (-REACH..REACH)
        .contains(&offset)
        .then_some(0x1400_0000 | ((offset >> 2) as u32 & 0x03ff_ffff))
}

/// The slots that there are.
pub(crate) struct Slots {
    regions: Vec<Region>,
}

/// A piece of executable memory, divided into slots.
struct Region {
    memory: ExecRegion,
    taken: Vec<bool>,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            regions: Vec::new(),
        }
    }

    /// Takes a free slot. It holds whatever it held before.
    pub(crate) fn take(&mut self, platform: &dyn Platform) -> Result<Slot, HprobeError> {
        if let Some(slot) = self.regions.iter_mut().find_map(Region::take) {
            return Ok(slot);
        }
        let memory = platform.alloc_exec(REGION_BYTES)?;
        let count = memory.len / SLOT_BYTES as usize;
        let mut region = Region {
            memory,
            taken: Vec::from_iter(core::iter::repeat_n(false, count)),
        };
        let slot = region.take();
        self.regions.push(region);
        slot.ok_or(HprobeError::NoSlot)
    }

    /// Gives a slot back that no CPU is sent to any more.
    ///
    /// Its memory stays for later slots: a CPU may remember for long which slot it was in last.
    pub(crate) fn free(&mut self, slot: Slot) {
        for region in &mut self.regions {
            region.free(slot);
        }
    }
}

impl Region {
    fn take(&mut self) -> Option<Slot> {
        let index = self.taken.iter().position(|taken| !taken)?;
        let at = self.memory.start.checked_add(index as u64 * SLOT_BYTES)?;
        self.taken[index] = true;
        Some(Slot { at })
    }

    fn free(&mut self, slot: Slot) {
        let offset = slot.at.get().checked_sub(self.memory.start.get());
        let index = offset.and_then(|offset| usize::try_from(offset / SLOT_BYTES).ok());
        if let Some(taken) = index.and_then(|index| self.taken.get_mut(index)) {
            *taken = false;
        }
    }
}
