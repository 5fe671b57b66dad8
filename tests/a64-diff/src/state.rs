//! What an instruction is executed on, in the layout in which the oracle reads and writes it.

use axebpf_a64::{Memory, MemoryFault, PtRegs};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The size of a page.
pub(crate) const PAGE: u64 = 0x1000;
/// A page of code.
pub(crate) const CODE: u64 = 0x10_0000_0000;
/// A page of code on which indirect branches must find landing pads.
pub(crate) const GUARDED_CODE: u64 = CODE + 0x1_0000;
/// A page of code that shares no offset with the others.
pub(crate) const OTHER_CODE: u64 = 0x30_1234_5000;
/// The page that can be read and written, with nothing before and behind it.
pub(crate) const WINDOW: u64 = CODE + 0x4000;

/// The signals that end an instruction.
pub(crate) mod signal {
    /// It is undefined, or no landing pad.
    pub(crate) const ILL: u64 = 4;
    /// The instruction after it was reached.
    pub(crate) const TRAP: u64 = 5;
}

/// The state of the processor around one instruction. Keep in step with `struct state` of the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct State {
    /// The general registers.
    pub(crate) regs: PtRegs,
    /// The vector registers, 128 bits each.
    pub(crate) vectors: [[u64; 2]; 32],
    /// The floating-point status.
    pub(crate) fpsr: u64,
    /// The floating-point control.
    pub(crate) fpcr: u64,
    /// Before: what the window is filled from. Afterwards: a digest of it.
    pub(crate) memory: u64,
    /// Afterwards: the address of a fault.
    pub(crate) fault: u64,
    /// Before: the instruction. Afterwards: the signal that came.
    pub(crate) word: u64,
}

/// The window, as the simulator sees it.
pub(crate) struct Window {
    bytes: Vec<u8>,
}

impl Window {
    /// Fills a window as the oracle does.
    pub(crate) fn filled(seed: u64) -> Self {
        let mut seed = seed;
        let words = (0..PAGE / 8).flat_map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed ^ seed >> 29).to_le_bytes()
        });
        Self {
            bytes: words.collect(),
        }
    }

    /// Returns the digest that the oracle makes of it.
    pub(crate) fn digest(&self) -> u64 {
        let words = self.bytes.chunks_exact(8).map(|word| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            u64::from_le_bytes(bytes)
        });
        words.fold(0, |digest, word| {
            (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    /// Returns the bytes at `addr`.
    fn at(&mut self, addr: u64, len: usize) -> Result<&mut [u8], MemoryFault> {
        let start = usize::try_from(addr.wrapping_sub(WINDOW)).map_err(|_| MemoryFault { addr })?;
        let end = start.checked_add(len).ok_or(MemoryFault { addr })?;
        self.bytes.get_mut(start..end).ok_or(MemoryFault { addr })
    }
}

impl Memory for Window {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        bytes.copy_from_slice(self.at(addr, bytes.len())?);
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.at(addr, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}
