//! The trapping instructions that probes put into text.

/// The immediates of the `BRK` instructions that are ours. Others are passed on.
///
/// None is among those that Linux (`arch/arm64/include/asm/brk-imm.h`), compilers or debuggers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum BrkImmediate {
    /// In the place of a probed instruction.
    Probe = 0xebf0,
    /// Behind a displaced instruction.
    SlotEnd = 0xebf1,
    /// Where probed functions return to.
    Return = 0xebf2,
}

/// `BRK #0`.
const BRK: u32 = 0xd420_0000;

impl BrkImmediate {
    /// Returns the instruction with this immediate.
    #[must_use]
    pub const fn instruction(self) -> u32 {
        BRK | (self as u32) << 5
    }

    /// Returns which of ours took the exception with syndrome `esr`, which is of class 0x3c (ARM ARM D24.2.40: the
    /// immediate is bits 15 to 0).
    #[must_use]
    pub const fn of_syndrome(esr: u64) -> Option<Self> {
        match esr & 0xffff {
            0xebf0 => Some(Self::Probe),
            0xebf1 => Some(Self::SlotEnd),
            0xebf2 => Some(Self::Return),
            _ => None,
        }
    }
}

/// What became of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a break that is not ours is the hypervisor's to report"]
pub enum Break {
    /// It was a probe's. The registers say how to go on; return from the exception.
    Handled,
    /// It is somebody else's. The registers are as they were.
    NotOurs,
}
