//! The emulated device of a VM: a register that reads back inverted, and a doorbell that raises an interrupt.

use core::ops::Range;

/// Where the device lies in guest-physical memory.
pub(crate) const WINDOW: Range<u64> = 0x0a00_0000..0x0a00_1000;
/// The interrupt that the doorbell raises.
pub(crate) const INTERRUPT: u32 = 42;

const ID: u64 = 0x00;
const DATA: u64 = 0x08;
const DOORBELL: u64 = 0x10;
const ACKNOWLEDGE: u64 = 0x18;

/// What `ID` reads as: "AXDV".
const MAGIC: u64 = 0x5644_5841;

/// What a write to the device asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// An interrupt to the vCPU that wrote.
    Interrupt,
}

/// The state of the device.
#[derive(Debug, Default)]
pub(crate) struct Device {
    data: u64,
    rung: u64,
    acknowledged: u64,
}

impl Device {
    /// Returns what the register at `offset` reads as. Unknown registers read as zero.
    pub(crate) fn read(&self, offset: u64) -> u64 {
        match offset {
            ID => MAGIC,
            DATA => !self.data,
            DOORBELL => self.rung,
            ACKNOWLEDGE => self.acknowledged,
            _ => 0,
        }
    }

    /// Writes `value` to the register at `offset`. Unknown registers ignore it.
    pub(crate) fn write(&mut self, offset: u64, value: u64) -> Effect {
        match offset {
            DATA => self.data = value,
            DOORBELL => {
                self.rung += 1;
                return Effect::Interrupt;
            }
            ACKNOWLEDGE => self.acknowledged += 1,
            _ => {}
        }
        Effect::None
    }
}
